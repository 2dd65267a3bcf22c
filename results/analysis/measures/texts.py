"""Quality of generated texts: entropy of their word pairs and triples, likeness to texts about the new object.

Pure functions of texts. The steps and weights are those of ROME's evaluation (arXiv 2202.05262); docs/metrics.md says
where the tokeniser and the reference texts differ from it.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from palimpsest.harness.metrics.probes import CaseTable

WEIGHTS: Mapping[int, float] = {2: 2 / 3, 3: 4 / 3}
"""n → weight of the entropy of the n-grams; the arithmetic mean over n follows."""
SPECIAL_TOKENS = "fluency_special_tokens"
"""Fluency of texts with their special tokens, as published numbers have it."""
MAX_REFERENCES = 200
"""Texts about one object that are used, at most."""

_BETWEEN_SENTENCES = re.compile(r"(?<=[.!?])\s+")


def normalised(text: str) -> str:
    """A generated text in compatibility form, with paragraphs on one line."""
    return unicodedata.normalize("NFKD", text).replace("\n\n", " ")


def words(text: str) -> list[str]:
    """Words and punctuation by NLTK's word tokenizer, sentence by sentence.

    A sentence ends behind ``.``, ``!`` or ``?`` and white space; NLTK's own splitter needs data that must be fetched,
    and differs at abbreviations.
    """
    tokenizer = _word_tokenizer()
    return [word for sentence in _BETWEEN_SENTENCES.split(text) for word in tokenizer.tokenize(sentence)]


@cache
def _word_tokenizer() -> Any:
    from nltk.tokenize.destructive import NLTKWordTokenizer

    return NLTKWordTokenizer()


def n_gram_entropy(tokens: Sequence[str], n: int) -> float:
    """Entropy in bits of the n-grams by their frequency in one text: -Σ f log2 f; 0 for a text shorter than n."""
    counts = Counter(zip(*(tokens[start:] for start in range(n)), strict=False))
    frequency = np.array(list(counts.values()), dtype=np.float64) / max(1, counts.total())
    return float(-(frequency * np.log2(frequency)).sum()) + 0.0  # no negative zero


def text_entropy(text: str) -> float:
    """((2/3) H2 + (4/3) H3) / 2 of one text, in bits: ROME's GE."""
    tokens = words(normalised(text))
    return sum(weight * n_gram_entropy(tokens, n) for n, weight in WEIGHTS.items()) / len(WEIGHTS)


def without_end_of_text(text: str) -> str:
    """A text as ROME's code and its descendants spell it: with all special tokens but this one."""
    return text.replace("<|endoftext|>", "")


def fluency(texts: Iterable[str]) -> float:
    """Mean of `text_entropy` over the texts of one case, times 100; NaN without texts."""
    entropies = [text_entropy(text) for text in texts]
    return 100 * sum(entropies) / len(entropies) if entropies else float("nan")


def reference_texts(probes: Iterable[tuple[str, str, str, str]]) -> dict[str, str]:
    """Object → true statements about other subjects that have it, joined: references from the data's own texts.

    Attribute prompts are completed with the new object of their case, neighborhood prompts with the true one: both are
    then true sentences, and about subjects that their case does not edit.

    Args:
        probes: Kind, prompt, new target and true target of all probes of a run, in edit order.
    """
    found: dict[str, dict[str, None]] = {}
    for kind, prompt, new, true in probes:
        target = {"attribute": new, "neighborhood": true}.get(kind)
        if target:
            about = found.setdefault(target, {})
            if len(about) < MAX_REFERENCES:
                about[f"{prompt} {target}."] = None
    return {target: " ".join(about) for target, about in found.items()}


class Likeness:
    """Cosine of TF-IDF vectors of texts and of the reference texts about an object."""

    def __init__(self, references: Mapping[str, str]) -> None:
        """Fit words and their weights on the reference texts, by the object that they are about: one document each.

        The vectoriser is scikit-learn's with its defaults, as ROME's: lower case, words of two letters or more,
        weights ln((1 + documents) / (1 + documents with the word)) + 1, vectors of length 1.
        """
        from sklearn.feature_extraction.text import TfidfVectorizer

        self._references = {target: normalised(text) for target, text in references.items()}
        self._vectors: Any = TfidfVectorizer()
        try:
            self._vectors.fit(self._references.values())
        except ValueError:  # not one word of two letters or more
            self._vectors = None

    def of(self, target: str, texts: Iterable[str]) -> float:
        """Cosine between ``texts``, joined, and the references about ``target``; NaN if there are none.

        A text of which no word occurs in any reference has cosine 0.
        """
        reference = self._references.get(target)
        if reference is None or self._vectors is None:
            return float("nan")
        joined = " ".join(map(normalised, texts))
        rows: NDArray[np.float64] = self._vectors.transform([joined, reference])
        return float((rows[0] @ rows[1].T).sum())  # rows have length 1, or 0


class TextMetrics:
    """Turns the sampled texts of a run's checkpoints into values per case."""

    def __init__(self, cases: pa.Table, probes: pa.Table) -> None:
        """Take up the cases and probes of a run, as stored with it."""
        columns = [probes[name].to_pylist() for name in ("kind", "prompt", "target_new", "target_true")]
        self._references = reference_texts(zip(*columns, strict=True))
        self._objects = dict(zip(cases["case_id"].to_pylist(), cases["target_new"].to_pylist(), strict=True))
        asked = probes.filter(pc.equal(probes["kind"], "generation"))
        keys = zip(asked["case_id"].to_pylist(), asked["index"].to_pylist(), strict=True)
        self._prompts = dict(zip(keys, asked["prompt"].to_pylist(), strict=True))

    def table(self, texts: pa.Table) -> CaseTable:
        """Fluency and consistency of each case of one checkpoint; the prompts count as part of the texts."""
        rows = texts.sort_by([("case_id", "ascending"), ("index", "ascending")]).to_pylist()
        by_case: dict[int, list[str]] = {}
        spelt: dict[int, list[str]] = {}
        for row in rows:
            by_case.setdefault(row["case_id"], []).append(self._prompts[row["case_id"], row["index"]] + row["text"])
            if row.get("spelt") is not None:
                spelt.setdefault(row["case_id"], []).append(without_end_of_text(row["spelt"]))
        found = text_table(by_case, self._objects, self._references)
        if not spelt:
            return found
        published = np.array([fluency(spelt.get(case, ())) for case in sorted(by_case)], dtype=np.float64)
        return replace(found, values={**found.values, SPECIAL_TOKENS: published})


def text_table(
    texts: Mapping[int, Sequence[str]], objects: Mapping[int, str], references: Mapping[str, str]
) -> CaseTable:
    """Fluency of each case's sampled texts, and their likeness to what is known of the object that was edited in.

    Args:
        texts: Case id → texts with their prompts.
        objects: Case id → new target.
        references: Object → texts about it, see `reference_texts`.
    """
    case_ids = sorted(texts)
    likeness = Likeness(references)
    values = {
        "fluency": np.array([fluency(texts[case]) for case in case_ids], dtype=np.float64),
        "consistency_own": np.array(
            [100.0 * likeness.of(objects[case], texts[case]) for case in case_ids], dtype=np.float64
        ),
    }
    return CaseTable(np.array(case_ids, dtype=np.int64), values, 0)
