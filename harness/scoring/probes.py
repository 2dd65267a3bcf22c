"""Asking a model: likelihood and first choice of the targets of every probe, and greedy answers to look at.

Scoring never changes the model, its train or eval modes, or any random generator.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from palimpsest.harness.errors import ConfigError
from palimpsest.harness.metrics.probes import ProbeOutcome
from palimpsest.harness.model.editable import EditableModel
from palimpsest.harness.model.tokens import continuation_ids, prompt_ids
from palimpsest.harness.scoring.generation import greedy
from palimpsest.harness.scoring.isolation import untouched
from palimpsest.harness.scoring.packing import score_targets
from palimpsest.harness.scoring.reference_tokenisation import reference_items
from palimpsest.harness.specs.cases import SCORED_KINDS, Case, Probe, ProbeKind
from palimpsest.harness.specs.windows import ANSWERED, choose_answered

Continuations = Mapping[tuple[int, int], Sequence[int]]
"""(case id, index of a neighborhood probe) → what the unedited model says to it, in tokens."""


@dataclass(frozen=True, slots=True)
class Answer:
    """Answer of the model to one prompt of a case: its greedy continuation."""

    case_id: int
    kind: ProbeKind
    index: int
    prompt: str
    text: str


class _Asked(NamedTuple):
    """Places of a target in the list of distinct continuations, and its number of tokens; no places: no such target.

    A target is one continuation, or in the tokenisation of the published evaluation one for each of its tokens.
    """

    places: tuple[int, ...]
    tokens: int


_NOTHING = _Asked((), 0)


class _Answers(NamedTuple):
    """All that one probe asks for."""

    new: _Asked
    true: _Asked
    top: _Asked
    fed: _Asked
    """The unedited model's continuation, its tokens asked for behind those of the true target."""
    first: _Asked
    """The unedited model's first choices there."""


class _Questions:
    """Distinct continuations that a model is asked for."""

    def __init__(self) -> None:
        self.continuations: list[tuple[tuple[int, ...], tuple[int, ...]]] = []
        self.prompts: list[str] = []
        """Text of each continuation's prompt, for messages."""
        self._places: dict[tuple[tuple[int, ...], tuple[int, ...]], int] = {}

    def ask(self, prompt: str, pairs: Sequence[tuple[Sequence[int], Sequence[int]]]) -> _Asked:
        """Add what is new among (context, target) pairs."""
        places = []
        for context, target in pairs:
            pair = (tuple(context), tuple(target))
            place = self._places.setdefault(pair, len(self.continuations))
            if place == len(self.continuations):
                self.continuations.append(pair)
                self.prompts.append(prompt)
            places.append(place)
        return _Asked(tuple(places), sum(len(target) for _, target in pairs))


def score_cases(
    model: EditableModel,
    cases: Sequence[Case],
    *,
    continuations: Continuations | None = None,
    first_choices: Continuations | None = None,
    reference_tokenisation: bool = False,
    token_budget: int | None = None,
) -> list[ProbeOutcome]:
    """Score the rewrite, paraphrase and neighborhood probes of ``cases``, in their order.

    A target is asked as the text ``prompt + " " + target``: the prompt is tokenised with the special tokens that the
    tokenizer puts before a text, the target with its leading space and without any. The same call on the same model
    gives the same bits; the company of other cases may move a result by rounding.

    Args:
        model: the model as it is to be scored.
        cases: their attribute and generation probes are not scored here.
        continuations: what the unedited model says to neighborhood prompts; those that it has are asked for as well.
        first_choices: what it says at the positions of their true targets; asked for, and the continuations with them,
            behind the true target's tokens, as the code of EasyEdit and of DeltaEdit does.
        reference_tokenisation: read targets token by token as `palimpsest.harness.scoring.reference_tokenisation`.
        token_budget: about how many tokens one forward pass takes; None: what suits the device.

    Raises:
        ConfigError: a prompt or target without tokens, or longer than the model can take.
    """
    probes = [(case.request.case_id, probe) for case in cases for probe in case.probes if probe.kind in SCORED_KINDS]
    texts = [target for _, probe in probes for target in (probe.target_new, probe.target_true) if target]
    prompts = _token_ids(model, [probe.prompt for _, probe in probes])
    targets = _token_ids(model, [" " + text for text in texts], targets=True)
    questions = _Questions()

    def ask(probe: Probe, target: str) -> _Asked:
        if not target:
            return _NOTHING
        if reference_tokenisation:
            return questions.ask(probe.prompt, reference_items(model.tokenizer, probe, target))
        return questions.ask(probe.prompt, [(prompts[probe.prompt], targets[" " + target])])

    def said(words: Continuations | None, case_id: int, probe: Probe) -> Sequence[int]:
        return (words or {}).get((case_id, probe.index), ()) if probe.kind == "neighborhood" else ()

    def ask_top(case_id: int, probe: Probe) -> _Asked:
        words = said(continuations, case_id, probe)
        return questions.ask(probe.prompt, [(prompts[probe.prompt], words)]) if words else _NOTHING

    def ask_fed(words: Continuations | None, case_id: int, probe: Probe) -> _Asked:
        """Each word behind the prompt and as many tokens of the true target as there are words before it."""
        fed = targets[" " + probe.target_true] if first_choices and probe.target_true else ()
        tokens = said(words, case_id, probe)[: len(fed)]
        pairs = [((*prompts[probe.prompt], *fed[:at]), (token,)) for at, token in enumerate(tokens)]
        return questions.ask(probe.prompt, pairs)

    asked = [
        _Answers(
            ask(p, p.target_new),
            ask(p, p.target_true),
            ask_top(case_id, p),
            ask_fed(continuations, case_id, p),
            ask_fed(first_choices, case_id, p),
        )
        for case_id, p in probes
    ]
    _check_lengths(model, questions)
    with untouched(model):
        scores = score_targets(model, questions.continuations, token_budget=token_budget)
    sizes = [len(target) for _, target in questions.continuations]
    read = _Read((-scores.log_prob).tolist(), scores.hits.tolist(), sizes)
    return [_outcome(case_id, probe, found, read) for (case_id, probe), found in zip(probes, asked, strict=True)]


class _Read(NamedTuple):
    """Scores that the model gave each continuation."""

    nll: Sequence[float]
    hits: Sequence[int]
    sizes: Sequence[int]

    def nll_of(self, asked: _Asked) -> float:
        if len(asked.places) == 1:
            return self.nll[asked.places[0]]
        total = sum(self.nll[place] * self.sizes[place] for place in asked.places)
        return total / asked.tokens if asked.tokens else float("nan")

    def hits_of(self, asked: _Asked) -> int:
        return sum(self.hits[place] for place in asked.places)


def _outcome(case_id: int, probe: Probe, asked: _Answers, read: _Read) -> ProbeOutcome:
    new, true, top, fed, first = asked
    hits_new, hits_true, hits_top = (read.hits_of(one) for one in (new, true, top))
    return ProbeOutcome(
        case_id=case_id,
        kind=probe.kind,
        index=probe.index,
        nll_new=read.nll_of(new),
        nll_true=read.nll_of(true),
        tokens_new=new.tokens,
        tokens_true=true.tokens,
        hits_new=hits_new,
        hits_true=hits_true,
        exact_new=0 < new.tokens == hits_new,
        exact_true=0 < true.tokens == hits_true,
        tokens_top=top.tokens,
        hits_top=hits_top,
        exact_top=0 < top.tokens == hits_top,
        nll_fed=read.nll_of(fed),
        tokens_fed=fed.tokens,
        hits_fed=read.hits_of(fed),
        hits_first=read.hits_of(first),
    )


def _token_ids(model: EditableModel, texts: Sequence[str], *, targets: bool = False) -> dict[str, tuple[int, ...]]:
    """Distinct text → its token ids; prompts get the special tokens that stand before a text, targets none."""
    distinct = list(dict.fromkeys(texts))
    if not distinct:
        return {}
    rows = (continuation_ids if targets else prompt_ids)(model.tokenizer, distinct)
    ids = {text: tuple(row) for text, row in zip(distinct, rows, strict=True)}
    for text, row in ids.items():
        if not row:
            raise ConfigError(
                f"{'Target' if targets else 'Prompt'} {text!r} has no tokens: nothing can be scored on it."
            )
    return ids


def _check_lengths(model: EditableModel, questions: _Questions) -> None:
    longest = getattr(model.model.config, "max_position_embeddings", None)
    for (context, target), prompt in zip(questions.continuations, questions.prompts, strict=True):
        if longest is not None and len(context) + len(target) - 1 > longest:
            raise ConfigError(
                f"Prompt {prompt[:60]!r}… with its target has {len(context) + len(target)} tokens; "
                f"the model takes {longest}."
            )


def sample_answers(
    model: EditableModel, cases: Sequence[Case], *, count: int = ANSWERED, seed: int = 0, max_new_tokens: int = 8
) -> list[Answer]:
    """Greedy continuations of the rewrite, first paraphrase and first neighborhood prompt of some cases.

    Args:
        model: the model as it is to be looked at.
        cases: where the sample is drawn from; the drawn cases keep their order.
        count: number of cases.
        seed: of the draw; the same seed on the same number of cases draws the same.
        max_new_tokens: length of an answer; it ends earlier where the model ends its text.
    """
    picked = [
        (cases[i].request.case_id, probe)
        for i in choose_answered(len(cases), seed, count)
        for kind in SCORED_KINDS
        for probe in [p for p in cases[i].probes if p.kind == kind][:1]
    ]
    ids = _token_ids(model, [probe.prompt for _, probe in picked])
    found = greedy(model, [ids[probe.prompt] for _, probe in picked], max_new_tokens)
    texts = model.tokenizer.batch_decode(found, skip_special_tokens=True)
    return [
        Answer(case_id, probe.kind, probe.index, probe.prompt, text)
        for (case_id, probe), text in zip(picked, texts, strict=True)
    ]
