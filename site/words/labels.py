"""Names of things on the page: editors, metrics, statuses, probe kinds."""

from __future__ import annotations

import re
from typing import NamedTuple

from palimpsest.site.words import papers

EDITORS = {
    "memit": "MEMIT",
    "memit-seq": "MEMIT-Seq",
    "alphaedit": "AlphaEdit",
    "ft-l": "FT-L",
    "ft": "FT",
    "rome": "ROME",
    "r-rome": "R-ROME",
    "nse": "NSE",
    "deltaedit": "DeltaEdit",
    "prune": "PRUNE",
    "rect": "RECT",
    "sphere": "SPHERE",
    "revive": "REVIVE",
}
"""Spelling of the papers; a third party's editor is shown by the name it registered."""

FORMS = {"argmax": "argmax", "preference": "preference", "token_accuracy": "token accuracy"}
FORM_HELP = {
    "argmax": "every token of the answer must be the model's first choice",
    "preference": "the answer must be more probable than the one it competes with",
    "token_accuracy": "share of the answer's tokens that are the model's first choice",
}
_FURTHER = (
    "portability",
    "portability_reasoning",
    "portability_alias",
    "portability_logic",
    "multi_hop",
    "distracting",
)
EXTRAS = (
    *("neighborhood_top", "neighborhood_top_tokens"),
    *("neighborhood_top_deltaedit", "neighborhood_top_preference_deltaedit", "locality_easyedit"),
    *(f"{name}_{form}" for name in _FURTHER for form in ("argmax", "token_accuracy")),
    *("multi_hop_any_mquake", "fluency", "fluency_special_tokens", "consistency_own"),
)
"""Metrics that only some tracks have."""
COMPONENTS = ("score", "efficacy", "paraphrase", "neighborhood")
METRICS = {
    "quality": "Held (h)",
    "score": "Score",
    "efficacy": "Efficacy",
    "paraphrase": "Paraphrase",
    "neighborhood": "Neighborhood",
    "abilities_kept": "Abilities kept",
    "neighborhood_top": "Neighborhood as before",
    "neighborhood_top_tokens": "Neighborhood as before, tokens",
    "neighborhood_top_deltaedit": "Neighborhood as before, DeltaEdit’s form",
    "neighborhood_top_preference_deltaedit": "Neighborhood as before, DeltaEdit’s preference form",
    "locality_easyedit": "Locality, EasyEdit’s form",
    "portability": "Portability",
    "portability_reasoning": "Portability to one more fact",
    "portability_alias": "Portability to another name",
    "portability_logic": "Portability by logic",
    "multi_hop": "Many hops",
    "multi_hop_any_mquake": "Many hops, any question, MQuAKE’s form",
    "distracting": "Neighborhood behind the edit’s sentence",
    "fluency": "Fluency",
    "fluency_special_tokens": "Fluency with special tokens, published form",
    "consistency_own": "Consistency, own references",
    "weight_norm": "Weight norm",
    "update_norm": "Distance from the pristine weights",
    "seconds_per_edit": "Seconds per edit",
}
WINDOWS = {
    "all": "all edits so far",
    "first": "first quarter of the edits",
    "latest": "latest quarter of the edits",
    "first_1000": "first 1,000 edits",
    "last_1000": "last 1,000 edits",
    "planned": "before editing",
}
KINDS = {
    "rewrite": "the edit itself",
    "paraphrase": "said another way",
    "neighborhood": "a neighbour, to stay as it was",
    "portability_reasoning": "one more fact behind the edit",
    "portability_alias": "the subject’s other name",
    "portability_logic": "what follows from the edit",
    "multi_hop": "many hops behind the edit",
    "distracting": "a neighbour behind the edit’s sentence",
    "attribute": "attribute",
    "generation": "generation",
}

ABILITY_FORMS = {"published_": "published", "papers_": "lm-eval", "general_": "lm-eval"}
"""Prefix of ability tasks whose items are given → whose prompts they ask."""

VERDICT_SHAPES = {"kept": "✓", "true": "○", "spilled": "✕"}
VERDICT_WORDS = {"kept": "as it should be", "true": "the original fact", "spilled": "the new fact, spilled over"}


class Status(NamedTuple):
    """The end of a run: a word, a shape (so that colour is never alone) and a style class."""

    word: str
    shape: str
    style: str


STATUSES = {
    "complete": Status("complete", "●", "good"),
    "partial": Status("partial", "◐", "quiet"),
    "collapsed": Status("collapsed", "✕", "bad"),
    "failed": Status("failed", "▲", "bad"),
}

PAPERS = {editor: found[0].arxiv for editor, found in papers.PAPERS.items()}
"""arXiv numbers of the built-in editors' papers."""

_ARXIV = re.compile(r"\d{4}\.\d{4,5}")
_COMPOSED = re.compile(r"([\w.-]+)\((.+)\)")


def unbounded(metric: str) -> bool:
    """True if a metric is no percentage, and so may exceed 100."""
    return metric.startswith(("seconds", "fluency", "ability_perplexity"))


def of_cases(metric: str) -> bool:
    """True if a metric is about the cases that were edited, and not about items that all seeds share."""
    return not metric.startswith(("ability", "abilities"))


def editor_title(name: str) -> str:
    """An editor's name as its paper spells it; ``revive(memit)`` becomes ``REVIVE on MEMIT``."""
    composed = _COMPOSED.fullmatch(name)
    if composed:
        return f"{editor_title(composed[1])} on {editor_title(composed[2])}"
    return EDITORS.get(name, name)


def editor_parts(name: str) -> tuple[str, ...]:
    """The names in a composition, outermost first: ``revive(memit)`` is a filter and its host."""
    composed = _COMPOSED.fullmatch(name)
    return (composed[1], *editor_parts(composed[2])) if composed else (name,)


def paper_url(arxiv: str) -> str:
    """Address of a paper; only ever built from a number, so that no foreign text becomes a link."""
    return f"https://arxiv.org/abs/{arxiv}" if _ARXIV.fullmatch(arxiv) else ""


def form_of(metric: str) -> str:
    """The form in a metric's name: ``score_argmax`` is of form ``argmax``; empty without one."""
    return next((form for form in FORMS if metric.endswith("_" + form)), "")


def metric_title(metric: str) -> str:
    """A metric's name in words, its form included."""
    form = form_of(metric)
    base = metric[: -len(form) - 1] if form else metric
    title = METRICS.get(base) or base.replace("_", " ").capitalize()
    return f"{title} ({FORMS[form]})" if form else title


def ability_title(ability: str) -> str:
    """An ability task's name without its group's prefix: ``pocket_recall`` becomes ``Recall``.

    Whose prompts are asked is said: ``published_mmlu`` becomes ``Mmlu (published form)``.
    """
    name = ability.removeprefix("ability:")
    form = next((form for prefix, form in ABILITY_FORMS.items() if name.startswith(prefix)), "")
    plain = name.removeprefix("pocket_").removeprefix("plain_") if not form else name.partition("_")[2]
    return (plain[:1].upper() + plain[1:]).replace("_", " ") + (f" ({form} form)" if form else "")
