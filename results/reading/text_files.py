"""Sampled texts and the unedited model's continuations of one run: what belongs into them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from palimpsest.harness.runs.layout import CONTINUATIONS, TEXTS, score_files
from palimpsest.harness.specs.run_spec import RunSpec, Scoring
from palimpsest.harness.specs.windows import choose_generated, ever_scored
from palimpsest.results.reading.problems import Invalid

_KEYS = ["case_id", "index"]
TEXT_METRICS = ("fluency", "consistency_own")
TOP_METRICS = ("neighborhood_top", "neighborhood_top_tokens")


def published_top_metrics(form: str) -> tuple[str, ...]:
    """Specificity in published forms; locality questions have no new target that anything could be preferred to."""
    preference = () if form == "zsre" else ("neighborhood_top_preference_deltaedit",)
    return ("neighborhood_top_deltaedit", *preference, "locality_easyedit")


def asked_beyond(spec: str) -> dict[str, Any]:
    """Fields of `Track` on what a stored spec asks for beyond likelihoods of both targets."""
    scoring = Scoring.model_validate(json.loads(spec)["scoring"])
    return {
        "texts": scoring.generation.cases,
        "special_tokens": scoring.generation.special_tokens,
        "top": scoring.top,
        "published_top": scoring.published_top,
        "reference_tokenisation": scoring.reference_tokenisation,
    }


def check_texts(tables: Mapping[str, pa.Table], edits: int, cases: pa.Table, probes: pa.Table, spec: RunSpec) -> None:
    """Check that one checkpoint has the texts that its spec asks for: of the cases that the seed chooses, none else.

    Raises:
        Invalid: A text is missing, too many, of another case, or longer than the spec says.
    """
    names = set(score_files(spec, edits))
    for name in (TEXTS, CONTINUATIONS):
        if (name in tables) != (name in names):
            raise Invalid(f"{name} {'is missing' if name in names else 'is there, but the spec does not ask for it'}")
    if not spec.scoring.top and pc.sum(tables["probes.parquet"]["tokens_top"]).as_py():
        raise Invalid("probes.parquet compares with continuations that the spec does not ask for")
    if not spec.scoring.published_top and pc.sum(tables["probes.parquet"]["tokens_fed"]).as_py():
        raise Invalid("probes.parquet compares in published forms that the spec does not ask for")
    total = spec.schedule.edits
    if TEXTS in tables:
        wanted = _asked(probes, "generation", _case_ids(cases, choose_generated(total, spec.scoring, edits)))
        _check_same(TEXTS, tables[TEXTS], wanted)
        long = pc.greater(tables[TEXTS]["tokens"], spec.scoring.generation.tokens)
        if (
            pc.min(tables[TEXTS]["tokens"]).as_py() == 0
            or pc.any(pc.and_(long, pc.not_equal(tables[TEXTS]["text"], ""))).as_py()
        ):
            raise Invalid(f"{TEXTS} has texts that are not 1 to {spec.scoring.generation.tokens} tokens long")
        _check_there(TEXTS, tables[TEXTS], "spelt", wanted=spec.scoring.generation.special_tokens)
    if CONTINUATIONS in tables:
        scored = ever_scored(total, spec.scoring, spec.schedule.checkpoints)
        wanted = _asked(probes, "neighborhood", _case_ids(cases, scored))
        _check_same(CONTINUATIONS, tables[CONTINUATIONS], wanted.filter(pc.not_equal(wanted["target_true"], "")))
        _check_there(CONTINUATIONS, tables[CONTINUATIONS], "first_choices", wanted=spec.scoring.published_top)


def _check_there(name: str, table: pa.Table, column: str, *, wanted: bool) -> None:
    """Check that a column that came later is filled where the spec asks for it, and empty elsewhere."""
    if table[column].null_count != (0 if wanted else len(table)):
        raise Invalid(f"{name} " + (f"lacks {column}" if wanted else f"has {column}, which the spec does not ask for"))


def _case_ids(cases: pa.Table, positions: list[int]) -> NDArray[np.int64]:
    order = np.empty(len(cases), dtype=np.int64)
    order[cases["position"].to_numpy()] = cases["case_id"].to_numpy()
    return order[positions]


def _asked(probes: pa.Table, kind: str, case_ids: NDArray[np.int64]) -> pa.Table:
    inside = pc.is_in(probes["case_id"], value_set=pa.array(case_ids))
    return probes.filter(pc.and_(pc.equal(probes["kind"], kind), inside))


def _check_same(name: str, table: pa.Table, wanted: pa.Table) -> None:
    kinds = set(pc.unique(table["kind"]).to_pylist())
    found, expected = (set(map(tuple, _keys(one).tolist())) for one in (table, wanted))
    if kinds - set(pc.unique(wanted["kind"]).to_pylist()) or found != expected:
        raise Invalid(
            f"{name} must hold {len(expected)} texts, one for each prompt of the cases that the seed chooses; "
            f"{len(expected - found)} are missing and {len(found - expected)} of others are there"
        )


def _keys(table: pa.Table) -> NDArray[np.int64]:
    return np.stack([table[name].to_numpy().astype(np.int64) for name in _KEYS], axis=1)
