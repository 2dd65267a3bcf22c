"""Realistic run folders without a model: decaying scores with noise, in the format that `harness` writes.

`write_suite(runs)` writes two tracks: a CounterFact one with finished, collapsed, partial, failed and hostile runs, and
a small ZsRE one. Everything is seeded; the same call writes the same bytes.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from palimpsest.harness.model.catalogue import fingerprint, registered_models
from palimpsest.harness.specs.cases import SCORED_KINDS, EditTask
from palimpsest.harness.specs.run_spec import (
    AbilityRef,
    EditorRef,
    Generation,
    ModelRef,
    RunSpec,
    Schedule,
    Scoring,
    TaskRef,
)
from palimpsest.harness.specs.windows import choose_answered, choose_generated
from palimpsest.tasks.ability_library import ability_refs
from palimpsest.tasks.registry import load_task

CHECKPOINTS = (0, 50, 100, 200, 300, 400, 500)
ABILITIES = {"pocket_recall": 0.25, "pocket_addition": 0.25, "pocket_agreement": 0.5, "pocket_inference": 0.5}
HOSTILE = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "{{ 7 * 7 }}{% raw %}",
    "\u202egnp.exe\u202c \u2066isolated\u2069 \u200f\u200b",
    "</script><!-- \u2028 \u2029 ]]>",
    "=cmd|' /C calc'!A0",
    "nul\x00bell\x07escape\x1b[31mred\nnewline\ttab",
    "A\u030a" * 3 + "x" * 6000,
    "javascript:alert(1)",
    "' OR 1=1; DROP TABLE runs; --",
)
"""Texts that no page, table, terminal or query may fall for."""


@dataclass(frozen=True)
class SyntheticRun:
    """What one synthetic run looks like; `half` is the number of edits at which its quality has halved."""

    editor: str = "memit"
    half: float = 700.0
    abilities_half: float = 900.0
    seed: int = 0
    form: str = "counterfact"
    checkpoints: tuple[int, ...] = CHECKPOINTS
    batch_size: int = 50
    neighborhood: int = 5
    status: str = "complete"
    stops_at: int | None = None
    """Last good number of edits of a collapsed, failed or partial run; None: the last checkpoint."""
    hostile: bool = False
    resumed: bool = False
    order_seed: Literal["run"] | int | None = None
    """A word of the spec and nothing more, where texts are not shipped."""
    sample: int | None = None
    seconds_per_edit: float = 0.12
    texts: int = 0
    """Of so many cases texts are sampled."""
    top: bool = False
    """Whether it is compared with the unedited model's continuations."""
    published: bool = False
    """Whether it is compared in published forms, too, and its texts are kept with their special tokens."""
    further: bool = False
    """Whether its cases have probes of kinds that only some data have."""
    shipped: bool = False
    """Whether model, texts and ability items are those that ship with Palimpsest, so that nothing in it is made up but
    the outcomes; ``neighborhood`` then counts for nothing."""
    config: tuple[tuple[str, Any], ...] = (("layers", [1, 2, 3]), ("second_moment_weight", 500.0))

    @property
    def edits(self) -> int:
        return self.checkpoints[-1]

    @property
    def end(self) -> int:
        return self.edits if self.stops_at is None else self.stops_at

    def spec(self) -> RunSpec:
        config: dict[str, Any] = dict(self.config)
        if self.hostile:
            config |= {f"note {i}": text for i, text in enumerate(HOSTILE)}
        task = f"pocket-{self.form}"
        return RunSpec(
            model=ModelRef(name="pocket-llama", fingerprint=_fingerprint() if self.shipped else _sha("pocket-llama")),
            editor=EditorRef(
                name=HOSTILE[0] if self.hostile else self.editor,
                config=config,
                distribution=HOSTILE[8] if self.hostile else "palimpsest-bench",
                version=HOSTILE[1] if self.hostile else "0.1.0",
            ),
            task=TaskRef(
                name=task, form=self.form, content_hash=_shipped(self.form).content_hash if self.shipped else _sha(task)
            ),
            schedule=Schedule(
                edits=self.edits,
                batch_size=self.batch_size,
                checkpoints=self.checkpoints,
                order_seed=self.order_seed,
            ),
            scoring=Scoring(
                sample=self.sample,
                generation=Generation(cases=self.texts, special_tokens=self.published and self.texts > 0),
                top=self.top,
                published_top=self.published and self.top,
            ),
            abilities=ability_refs(list(ABILITIES), None)
            if self.shipped
            else tuple(AbilityRef(name=name, content_hash=_sha(name)) for name in ABILITIES),
            seed=self.seed,
        )


def suite() -> list[SyntheticRun]:
    """The runs of `write_suite`."""
    return [
        SyntheticRun("memit", half=420, abilities_half=380),
        SyntheticRun("memit", half=400, abilities_half=400, seed=1, resumed=True),
        SyntheticRun("memit-seq", half=1500, abilities_half=1400, seconds_per_edit=0.14),
        SyntheticRun("alphaedit", half=2600, abilities_half=3200, seconds_per_edit=0.13),
        SyntheticRun("ft-l", half=130, abilities_half=160, status="collapsed", stops_at=250, seconds_per_edit=0.03),
        SyntheticRun("alphaedit", half=2500, abilities_half=3000, seed=1, status="partial", stops_at=200),
        SyntheticRun("memit", half=300, abilities_half=300, seed=2, status="failed", stops_at=100),
        SyntheticRun("hostile", half=900, abilities_half=800, hostile=True),
        SyntheticRun("memit", form="zsre", half=350, checkpoints=(0, 50, 100), neighborhood=1),
        SyntheticRun("alphaedit", form="zsre", half=2000, checkpoints=(0, 50, 100), neighborhood=1),
    ]


def write_suite(runs: Path) -> list[str]:
    """Write all runs of `suite` under the folder ``runs``; their ids in the same order."""
    return [write_run(runs, run) for run in suite()]


def write_run(runs: Path, run: SyntheticRun) -> str:
    """Write one run folder under ``runs``; its id."""
    spec = run.spec()
    folder = runs / spec.id
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "spec.json").write_text(json.dumps(json.loads(spec.canonical()), indent=2, sort_keys=True))
    _write_environment(folder, run)
    cases, probes = _task(run)
    pq.write_table(pa.table(cases), folder / "cases.parquet")
    asked = [pa.table({name: probes[name] for name in _PROBE_TEXTS})]
    if run.texts or run.shipped:
        asked += [pa.Table.from_pylist(_text_probes(run, cases), asked[0].schema)]
    pq.write_table(pa.concat_tables(asked), folder / "probes.parquet")
    _write_events(folder, run)
    for edits in run.checkpoints:
        if edits <= run.end:
            write_checkpoint(folder, run, edits, probes)
    if run.status == "partial":
        save = folder / "checkpoints" / f"{run.end:06d}"
        save.mkdir(parents=True, exist_ok=True)
        write_manifest(save, run.end)
    else:
        _write_result(folder, run)
    return spec.id


def write_checkpoint(folder: Path, run: SyntheticRun, edits: int, probes: dict[str, Any] | None = None) -> None:
    """Write ``scores/<edits>`` of one run."""
    probes = _task(run)[1] if probes is None else probes
    target = folder / "scores" / f"{edits:06d}"
    target.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng([run.seed, edits, int(run.half)])
    pq.write_table(pa.table(_outcomes(run, edits, probes, rng)), target / "probes.parquet")
    pq.write_table(pa.table(_answers(run, edits, probes)), target / "answers.parquet")
    pq.write_table(pa.table(_abilities(run, edits)), target / "abilities.parquet")
    pq.write_table(pa.table(_diagnostics(run, edits)), target / "diagnostics.parquet")
    if run.texts:
        pq.write_table(pa.table(_texts(run, edits)), target / "texts.parquet")
    if run.top and not edits:
        pq.write_table(pa.table(_continuations(run, probes)), target / "continuations.parquet")
    write_manifest(target, edits)


def write_manifest(folder: Path, edits: int) -> None:
    """(Re)write the manifest of a score folder after its files."""
    files = {
        path.name: {"bytes": path.stat().st_size, "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}
        for path in sorted(folder.glob("*.parquet"))
    }
    (folder / "manifest.json").write_text(json.dumps({"format": 1, "edits": edits, "files": files}, indent=1))


def finish(runs: Path, run: SyntheticRun) -> SyntheticRun:
    """Complete a partial run folder in place, as a resumption would; the finished run."""
    done = replace(run, status="complete", stops_at=None, resumed=True)
    write_run(runs, done)
    return done


# ------------------------------------------------------------------------------------------------------ parts

FURTHER = (
    ("portability_reasoning", 0, "The river at the birthplace of"),
    ("multi_hop", 0, "The mayor of the town of"),
    ("multi_hop", 1, "The mayor of the town of"),
    ("multi_hop", 2, "Who is the mayor of the town of"),
    ("distracting", 0, "Born there. So was the uncle of"),
)
"""Kind, index and beginning of the prompt of what only some data have: one prompt has two answers."""
_PROBE_TEXTS = ("case_id", "kind", "index", "prompt", "target_new", "target_true")
_PLACES = ("Velmora", "Tarrin Quay", "Ostrel", "Brannock", "Lisset", "Quorren", "Maddock Fell", "Sarnholt")
_NAMES = ("Ilvane Corrow", "Tessaly Brandt", "Oren Makepeace", "Dorvik Halloran", "Sumire Adwell", "Anselm Trevane")


def _sha(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


@cache
def _fingerprint() -> str:
    return fingerprint(registered_models()["pocket-llama"])


@cache
def _shipped(form: str) -> EditTask:
    return load_task(f"pocket-{form}")


def _shipped_task(run: SyntheticRun) -> tuple[dict[str, Any], dict[str, Any]]:
    """The cases and scored probes of `_task`, of the data that ship."""
    chosen = _shipped(run.form).cases[: run.edits]
    cases: dict[str, Any] = {
        "position": pa.array(range(len(chosen)), pa.int32()),
        "case_id": pa.array([case.request.case_id for case in chosen], pa.int64()),
    }
    for name in ("subject", "prompt", "target_new", "target_true"):
        cases[name] = [getattr(case.request, name) for case in chosen]
    rows = [(i, case, p) for i, case in enumerate(chosen) for p in case.probes if p.kind in SCORED_KINDS]
    probes: dict[str, Any] = {
        "case_id": pa.array([case.request.case_id for _, case, _ in rows], pa.int64()),
        "position": pa.array([position for position, _, _ in rows], pa.int32()),
        "kind": [probe.kind for _, _, probe in rows],
        "index": pa.array([probe.index for _, _, probe in rows], pa.int32()),
    }
    for name in ("prompt", "target_new", "target_true"):
        probes[name] = [getattr(probe, name) for _, _, probe in rows]
    return cases, probes


def _task(run: SyntheticRun) -> tuple[dict[str, Any], dict[str, Any]]:
    if run.shipped:
        return _shipped_task(run)
    further = FURTHER if run.further else ()
    count, per_case = run.edits, 3 + run.neighborhood + len(further)
    ids = np.arange(count) * 7 % 100_003 + 1
    subjects = [f"{_NAMES[i % len(_NAMES)]} {i}" for i in range(count)]
    new = [_PLACES[i % len(_PLACES)] for i in range(count)]
    true = [_PLACES[(i + 3) % len(_PLACES)] for i in range(count)]
    if run.hostile:
        for i in range(min(count, len(HOSTILE))):
            subjects[i], new[i], true[i] = HOSTILE[i], HOSTILE[-i - 1], HOSTILE[(i + 4) % len(HOSTILE)]
    cases = {
        "position": pa.array(range(count), pa.int32()),
        "case_id": pa.array(ids, pa.int64()),
        "subject": subjects,
        "prompt": ["{} was born in the town of"] * count,
        "target_new": new,
        "target_true": true,
    }
    kinds = ["rewrite", "paraphrase", "paraphrase"] + ["neighborhood"] * run.neighborhood + [k for k, _, _ in further]
    indices = [0, 0, 1, *range(run.neighborhood), *(index for _, index, _ in further)]
    zsre = run.form == "zsre"
    prompts = []
    for i, subject in enumerate(subjects):
        prompts += [f"{subject} was born in the town of", f"The birthplace of {subject} is", f"{subject} hails from"]
        neighbors = range(run.neighborhood)
        prompts += [f"{_NAMES[(i + j) % len(_NAMES)]} {j} Senior was born in the town of" for j in neighbors]
        prompts += [f"{text} {subject}" for _, _, text in further]
    near = np.tile(np.isin(kinds, ("neighborhood", "distracting")), count)
    probes: dict[str, Any] = {
        "case_id": pa.array(np.repeat(ids, per_case), pa.int64()),
        "position": pa.array(np.repeat(np.arange(count), per_case), pa.int32()),
        "kind": kinds * count,
        "index": pa.array(indices * count, pa.int32()),
        "prompt": prompts,
        "target_new": ["" if zsre and n else t for n, t in zip(near, np.repeat(new, per_case).tolist(), strict=True)],
        "target_true": [
            "" if zsre and not n else t for n, t in zip(near, np.repeat(true, per_case).tolist(), strict=True)
        ],
    }
    return cases, probes


def _outcomes(run: SyntheticRun, edits: int, probes: dict[str, Any], rng: np.random.Generator) -> dict[str, Any]:
    positions = probes["position"].to_numpy()
    keep = np.flatnonzero(positions < edits) if edits else np.arange(positions.size)
    positions = positions[keep]
    kind = np.array(probes["kind"])[keep]
    near = np.isin(kind, ("neighborhood", "distracting"))
    age = np.maximum(edits - positions, 0) if edits else np.zeros_like(positions)
    quality = 0.5 ** (0.5 * (edits + age) / run.half)
    base = np.select([kind == "rewrite", kind == "paraphrase"], [0.99, 0.85], 0.8)
    chance = base * quality
    if not edits:
        chance = np.where(near, 0.93, 0.01)
    luck = rng.random(keep.size)
    exact = luck < chance
    prefers = luck < np.minimum(0.999, chance + 0.5 * (1 - chance) * (0.2 if not edits else 1))
    good = rng.gamma(2.0, 0.4, keep.size) * np.where(exact, 0.3, 1.5) + 0.02
    bad = np.where(prefers, good + rng.gamma(2.0, 1.2, keep.size) + 0.05, good * rng.uniform(0.1, 0.95, keep.size))
    tokens = np.random.default_rng(7).integers(1, 5, (2, len(probes["kind"]))).astype(np.int32)[:, keep]
    hits_good = np.where(exact, tokens[0], (tokens[0] * rng.uniform(0, 0.8, keep.size)).astype(np.int32))
    hits_bad = (tokens[1] * rng.uniform(0, 0.5, keep.size)).astype(np.int32)
    new = {"nll": np.where(near, bad, good), "exact": exact & ~near}
    new |= {"tokens": np.where(near, tokens[1], tokens[0]), "hits": np.where(near, hits_bad, hits_good)}
    true = {"nll": np.where(near, good, bad), "exact": exact & near}
    true |= {"tokens": np.where(near, tokens[0], tokens[1]), "hits": np.where(near, hits_good, hits_bad)}
    if run.form == "zsre":
        for side, absent in ((new, near), (true, ~near)):
            side["nll"] = np.where(absent, np.nan, side["nll"])
            side["tokens"] = np.where(absent, 0, side["tokens"])
            side["hits"] = np.where(absent, 0, side["hits"])
    quarter = max(1, edits // 4)
    scored = np.full(keep.size, edits > 0)
    more: dict[str, Any] = {}
    if run.top:
        asked = kind == "neighborhood"
        same = asked & (exact if edits else True)
        more = {"tokens_top": pa.array(2 * asked, pa.int32()), "hits_top": pa.array(asked + 1 * same, pa.int32())}
        more["exact_top"] = same
        if run.published:
            places = np.where(asked, true["tokens"], 0)
            hits = np.where(asked, true["hits"], 0) if edits else places
            more["nll_fed"] = np.where(asked, true["nll"], np.nan)
            more |= {"tokens_fed": pa.array(places, pa.int32()), "hits_first": pa.array(hits, pa.int32())}
            more["hits_fed"] = pa.array(np.where(asked & exact, places, 0), pa.int32())
    if edits > 1000:
        more["window_first_1000"] = positions < 1000
        more["window_last_1000"] = positions >= edits - 1000
    return more | {
        "case_id": probes["case_id"].take(keep),
        "position": pa.array(positions, pa.int32()),
        "kind": kind.tolist(),
        "index": probes["index"].take(keep),
        "nll_new": pa.array(new["nll"], pa.float64()),
        "nll_true": pa.array(true["nll"], pa.float64()),
        "tokens_new": pa.array(new["tokens"], pa.int32()),
        "tokens_true": pa.array(true["tokens"], pa.int32()),
        "hits_new": pa.array(new["hits"], pa.int32()),
        "hits_true": pa.array(true["hits"], pa.int32()),
        "exact_new": new["exact"],
        "exact_true": true["exact"],
        "window_all": scored,
        "window_first": scored & (positions < quarter),
        "window_latest": scored & (positions >= edits - quarter),
        "window_planned": ~scored,
    }


def _answers(run: SyntheticRun, edits: int, probes: dict[str, Any]) -> dict[str, Any]:
    first: dict[tuple[int, str], int] = {}
    for row, place in enumerate(zip(probes["position"].to_pylist(), probes["kind"], strict=True)):
        first.setdefault(place, row)
    asked = [(position, kind) for position in choose_answered(run.edits, 0) for kind in SCORED_KINDS]
    rows = [first[place] for place in asked if place in first]
    kept = 0.5 ** (edits / run.half)
    texts = []
    for place, row in enumerate(rows):
        new = probes["target_new"][row] if edits and place / len(rows) < kept else probes["target_true"][row]
        texts.append(f" {new} and {'its hills' if place % 2 else 'grew up there'}")
    return {
        "case_id": probes["case_id"].take(rows),
        "position": probes["position"].take(rows),
        "kind": [probes["kind"][row] for row in rows],
        "index": probes["index"].take(rows),
        "prompt": [probes["prompt"][row] for row in rows],
        "text": texts,
    }


def _text_probes(run: SyntheticRun, cases: dict[str, Any]) -> list[dict[str, Any]]:
    """Two attribute prompts and two generation prompts of each case, or those that ship."""
    rows: list[dict[str, Any]] = []
    if run.shipped:
        names = ("kind", "index", "prompt", "target_new", "target_true")
        for case in _shipped(run.form).cases[: run.edits]:
            more = [probe for probe in case.probes if probe.kind not in SCORED_KINDS]
            rows += [{"case_id": case.request.case_id, **{name: getattr(p, name) for name in names}} for p in more]
        return rows
    for case_id, subject, new, true in zip(
        cases["case_id"].to_pylist(), cases["subject"], cases["target_new"], cases["target_true"], strict=True
    ):
        for i in range(2):
            row = {"case_id": case_id, "index": i, "target_new": new, "target_true": true}
            rows.append(row | {"kind": "attribute", "prompt": f"{_NAMES[i]} {case_id} was born in the town of"})
            rows.append(row | {"kind": "generation", "prompt": f"{subject} is", "target_new": "", "target_true": ""})
    return rows


def _texts(run: SyntheticRun, edits: int) -> dict[str, Any]:
    """The more edits, the more a text repeats itself."""
    cases, _ = _task(run)
    chosen = choose_generated(run.edits, run.spec().scoring, edits)
    rows = [(position, i) for position in chosen for i in range(2)]
    repeats = 2 + edits // 20
    said = [f" from {cases['target_new'][p]}, where hills {'and hills ' * repeats}are green ({i})." for p, i in rows]
    if run.hostile:
        said = [HOSTILE[place % len(HOSTILE)] for place in range(len(rows))]
    spelt = list(zip(rows, said, strict=True))
    return {
        "case_id": cases["case_id"].take([p for p, _ in rows]),
        "position": pa.array([p for p, _ in rows], pa.int32()),
        "kind": ["generation"] * len(rows),
        "index": pa.array([i for _, i in rows], pa.int32()),
        "text": said,
        "tokens": pa.array([100] * len(rows), pa.int32()),
        **(
            {"spelt": [f"<|begin_of_text|>{cases['subject'][p]} is{one}" for (p, _), one in spelt]}
            if run.published
            else {}
        ),
    }


def _continuations(run: SyntheticRun, probes: dict[str, Any]) -> dict[str, Any]:
    near = [i for i, kind in enumerate(probes["kind"]) if kind == "neighborhood"]
    return {
        "case_id": probes["case_id"].take(near),
        "position": probes["position"].take(near),
        "kind": ["neighborhood"] * len(near),
        "index": probes["index"].take(near),
        "text": [HOSTILE[i % len(HOSTILE)] if run.hostile else " Ostrel" for i in near],
        "tokens": pa.array([[5, 9]] * len(near), pa.list_(pa.int32())),
        **({"first_choices": pa.array([[5, 7]] * len(near), pa.list_(pa.int32()))} if run.published else {}),
    }


def _abilities(run: SyntheticRun, edits: int) -> dict[str, Any]:
    items = 200 if run.shipped else 60
    columns: dict[str, list[Any]] = {"ability": [], "metric": [], "chance": [], "item": [], "correct": []}
    for place, (name, chance) in enumerate(ABILITIES.items()):
        share = 0.5 ** (edits / run.abilities_half)
        luck = np.random.default_rng([run.seed, place]).random(items)
        columns["ability"] += [name] * items
        columns["metric"] += ["acc"] * items
        columns["chance"] += [chance] * items
        columns["item"] += list(range(items))
        columns["correct"] += (luck < chance + (0.9 - chance) * share).tolist()
    return columns | {"item": pa.array(columns["item"], pa.int32())}


def _diagnostics(run: SyntheticRun, edits: int) -> dict[str, Any]:
    layers = (1, 2, 3)
    names = ["weight_norm"] * 3 + ["update_norm"] * 3
    values = [30.0 + layer + edits * 0.01 for layer in layers] + [edits * 0.02 * layer for layer in layers]
    return {"name": names, "layer": pa.array(layers * 2, pa.int32()), "value": pa.array(values, pa.float64())}


def _write_environment(folder: Path, run: SyntheticRun) -> None:
    segment: dict[str, Any] = {
        "started_at": _time(run, 0),
        "palimpsest_version": "0.1.0",
        "commit": "0123456789abcdef0123456789abcdef01234567",
        "dirty": run.resumed,
        "python": "3.11.9",
        "platform": HOSTILE[4] if run.hostile else "Linux-6.1-x86_64",
        "cpu": HOSTILE[6] if run.hostile else "Generic CPU",
        "cores": 2,
        "threads": 2,
        "memory_gb": 15.6,
        "gpu": None,
        "packages": {"torch": "2.13.0", "transformers": "5.23.0"} | ({HOSTILE[1]: HOSTILE[0]} if run.hostile else {}),
        "command": HOSTILE[3] if run.hostile else f"palimpsest run --editor {run.editor}",
    }
    segments = [segment, segment | {"started_at": _time(run, 90)}] if run.resumed else [segment]
    (folder / "environment.json").write_text(json.dumps({"segments": segments}, indent=2))


def _write_events(folder: Path, run: SyntheticRun) -> None:
    lines: list[dict[str, Any]] = [{"time": _time(run, 0), "event": "run_started", "segment": 0}]
    if run.checkpoints[0] == 0:
        lines.append({"time": _time(run, 1), **_scored(0)})
    second = 1.0
    for index in range(-(-run.end // run.batch_size)):
        edits = min((index + 1) * run.batch_size, run.end)
        seconds = run.seconds_per_edit * run.batch_size * (1 + 0.05 * (index % 3))
        repeats = 2 if run.resumed and index == 2 else 1  # a batch that was redone after a resumption
        for repeat in range(repeats):
            second += seconds
            if repeat:
                lines.append({"time": _time(run, second), "event": "run_resumed", "edits": edits - run.batch_size})
            lines.append(_batch(run, index, edits, seconds, second))
        if edits in run.checkpoints:
            lines.append({"time": _time(run, second), "event": "save", "edits": edits})
            lines.append({"time": _time(run, second + 4), **_scored(edits)})
    message = HOSTILE[6] if run.hostile else "Statistics were computed on fewer tokens than asked for."
    lines.append({"time": _time(run, second), "event": "warning", "message": message})
    last: dict[str, Any] = {"time": _time(run, second + 9), "edits": run.end}
    if run.status == "partial":
        lines.append(last | {"event": "interrupted"})
    else:
        name = {"complete": "run_finished", "collapsed": "run_collapsed", "failed": "run_failed"}[run.status]
        lines.append(last | {"event": name} | ({} if run.status == "complete" else {"reason": _reason(run)}))
    (folder / "events.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines) + '{"time": "2026-0')


def _scored(edits: int) -> dict[str, Any]:
    return {"event": "checkpoint", "edits": edits, "seconds_scoring": 2.5, "seconds_abilities": 1.25}


def _batch(run: SyntheticRun, index: int, edits: int, seconds: float, second: float) -> dict[str, Any]:
    report = {
        "seconds": {"targets": seconds * 0.7, "keys": seconds * 0.1, "solve": seconds * 0.2},
        "counters": {"early_stops": 11 + index},
        "values": {"loss_last": 0.04, HOSTILE[0] if run.hostile else "loss_first": 5.1},
    }
    batch = {"event": "batch", "index": index, "edits": edits, "seconds_edit": seconds, "report": report}
    return {"time": _time(run, second), **batch, "peak_memory_mb": 900.0 + index}


def _write_result(folder: Path, run: SyntheticRun) -> None:
    reason = None if run.status == "complete" else _reason(run)
    (folder / "result.json").write_text(json.dumps({"status": run.status, "edits": run.end, "reason": reason}))


def _reason(run: SyntheticRun) -> str:
    if run.hostile:
        return HOSTILE[5]
    return "logits became NaN in batch 5" if run.status == "collapsed" else "the editor raised ValueError: no keys"


def _time(run: SyntheticRun, seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    return f"2026-03-{10 + run.seed:02d}T08:{minutes % 60:02d}:{rest:02d}+00:00"
