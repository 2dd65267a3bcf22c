"""A source of made-up runs for the tests of the site: smooth decays, one collapse, one partial run, one hostile one."""

from __future__ import annotations

import math
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pyarrow as pa

from palimpsest.harness.specs.run_spec import PROTOCOL
from palimpsest.results.analysis.claims import Measured, Outcome, outcomes
from palimpsest.results.analysis.effective_edits import course, effective_edits
from palimpsest.results.analysis.ranking import CourseResult, has_ended, standings
from palimpsest.results.records import (
    ONE_CHECKPOINT,
    RUN_ORDER,
    BoardRow,
    CurvePoint,
    EditsUntil,
    EventRow,
    Interval,
    LedgerRow,
    SampleAnswer,
    Segment,
    Standing,
    TimingSummary,
    Track,
)
from palimpsest.results.store.bulk import Course, RunHead, Series, Text
from palimpsest.results.store.claim_record import ClaimRecord
from palimpsest.results.store.editor_runs import EditorRun
from palimpsest.site.source import RunParts

CHECKPOINTS = (0, 50, 100, 200, 300, 400, 500)
ABILITIES = (
    "pocket_recall",
    "pocket_addition",
    "pocket_agreement",
    "pocket_inference",
    "pocket_sentiment",
    "pocket_copying",
)
HOSTILE = (
    "<script>document.title='owned'</script>",
    '"><img src=x onerror="document.title=\'owned\'">',
    "{{ 7 * 7 }}{% raw %}",
    "\u202egnp.exe\u202c \u2066isolated\u2069 \u200f\u200b",
    "</script><!-- \u2028 \u2029 ]]>",
    "A\u030a" * 3 + "x" * 6000,
    "javascript:alert(1)",
    "nul\x00bell\x07 \x1b[31mred\ud800",
)
"""Texts that no page may fall for; the site must be safe even if ingest had cleaned nothing."""


@dataclass(frozen=True)
class MadeUp:
    """How one made-up run goes; ``life``: edits at which its score has halved."""

    editor: str
    life: float
    ability_life: float
    seed: int = 0
    status: str = "complete"
    end: int = 500
    seconds: float = 0.12
    memory: float = 1240.0
    distribution: str = "palimpsest-bench"
    hostile: bool = False


RUNS = (
    MadeUp("alphaedit", 2900, 3300, seconds=0.131, memory=1312),
    MadeUp("memit-seq", 1500, 1250, seconds=0.142, memory=1287),
    MadeUp("revive(memit)", 1100, 1200, seconds=0.15, memory=1250, distribution="my-editors"),
    MadeUp("memit", 520, 610, seconds=0.118),
    MadeUp("ft-l", 150, 170, status="collapsed", end=300, seconds=0.034, memory=968),
    MadeUp("alphaedit", 2800, 3100, seed=1, seconds=0.133, memory=1312),
    MadeUp("r-rome", 700, 800, status="partial", end=200, seconds=0.2, memory=1100),
    MadeUp("alphaedit", 2850, 3200, seed=2, seconds=0.132, memory=1312),
    MadeUp("memit-seq", 1450, 1250, seed=1, seconds=0.142, memory=1287),
    MadeUp("memit-seq", 1550, 1270, seed=2, seconds=0.142, memory=1287),
    MadeUp("revive(memit)", 1070, 1180, seed=1, seconds=0.15, memory=1250, distribution="my-editors"),
    MadeUp("revive(memit)", 1110, 1210, seed=2, seconds=0.15, memory=1250, distribution="my-editors"),
)


def track(task: str = "pocket-counterfact", model: str = "pocket-llama", runs: int = len(RUNS)) -> Track:
    form = "zsre" if "zsre" in task else "counterfact"
    return Track(
        track_id=f"{abs(sum(map(ord, task + model))):012x}",
        model=model,
        model_fingerprint="9f3ac27d" * 8,
        task=task,
        task_form=form,
        edits=500,
        batch_size=50,
        checkpoints=CHECKPOINTS,
        edit_order=RUN_ORDER,
        protocol=PROTOCOL,
        sample=None,
        abilities=ABILITIES,
        abilities_counted=ABILITIES,
        runs=runs,
        task_hash="51c08b6e" * 8,
        main_metric="score_token_accuracy" if form == "zsre" else "score_argmax",
    )


@dataclass
class SampleSource:
    """Stands in for the store."""

    made: tuple[MadeUp, ...] = RUNS
    all_tracks: tuple[Track, ...] = ()
    calls: list[str] = field(default_factory=list)
    digest: str = "d0"

    def __post_init__(self) -> None:
        if not self.all_tracks:
            others = (("pocket-zsre", "pocket-llama"), ("pocket-counterfact", "pocket-gpt2"))
            first = track(runs=len(self.made))
            self.all_tracks = (first, *(track(task, model, 2) for task, model in others))

    def _made(self, track_id: str) -> tuple[MadeUp, ...]:
        return self.made if track_id == self.all_tracks[0].track_id else RUNS[:2]

    def _find(self, run_id: str) -> tuple[Track, MadeUp, int]:
        for home in self.all_tracks:
            for i, run in enumerate(self._made(home.track_id)):
                if identity(home, i) == run_id:
                    return home, run, i
        raise KeyError(run_id)

    def heads(self) -> list[RunHead]:
        found = []
        for home in self.all_tracks:
            for i, run in enumerate(self._made(home.track_id)):
                row = board_row(home, run, i)
                places = (home.model, home.task, home.edits)
                found.append(
                    RunHead(row.run_id, home.track_id, row.row_id, "7e" * 8, self.digest, row.editor, row.distribution,
                            row.version, *places, came=row.finished_at or row.started_at or "",
                            submitted=row.submitted)
                )  # fmt: skip
        return found

    def tracks(self) -> list[Track]:
        return list(reversed(self.all_tracks))

    def track(self, track_id: str) -> tuple[Track, list[BoardRow]]:
        self.calls.append(track_id)
        home = next(t for t in self.all_tracks if t.track_id == track_id)
        rows = [board_row(home, run, i) for i, run in enumerate(self._made(track_id))]
        ended = [row for row in rows if has_ended(row)]
        found = standings(
            CourseResult(row.row_id, row.run_id, row.seed, row.effective_edits, row.edits_planned) for row in ended
        )
        placed = [replace(row, standing=found.rows[row.row_id]) if has_ended(row) else row for row in rows]
        if sum(edits > 0 for edits in home.checkpoints) < 2:  # as the store has it: no rank and no pair
            return home, [replace(row, standing=row.standing and unranked(row.standing)) for row in placed]
        return replace(home, pairs=found.pairs), placed

    def standings(self) -> dict[tuple[str, str], Standing]:
        rows = [row for home in self.all_tracks for row in self.track(home.track_id)[1]]
        return {(row.track_id, row.row_id): row.standing for row in rows if row.standing is not None}

    def table_series(self, track_id: str) -> dict[str, list[Series]]:
        return self.series([row.run_id for row in self.track(track_id)[1]])

    def series(self, run_ids: Sequence[str]) -> dict[str, list[Series]]:
        return {run_id: self._series(*self._find(run_id)[:2]) for run_id in run_ids}

    def _series(self, home: Track, run: MadeUp) -> list[Series]:
        found = []
        for form in forms(home):
            for component in ("score", "efficacy", "paraphrase", "neighborhood"):
                for window in ("all", "first", "latest"):
                    points = [metric_point(run, component, form, window, e) for e in CHECKPOINTS[1:]]
                    points = [p for p in points if run.status != "partial" or p.edits <= run.end]
                    found.append(as_series(f"{component}_{form}", window, points))
            found.append(as_series(f"neighborhood_{form}", "planned", [CurvePoint(0, 93.4, 91.8, 94.9)]))
        found.append(as_series("quality", "all", [held_point(run, e) for e in reached(run)[1:]]))
        found.append(as_series("abilities_kept", "", [kept_point(run, e) for e in reached(run)]))
        for name, scores in ability_table(run).items():
            points = [CurvePoint(e, i.value, i.low, i.high) for e, i in scores.items()]
            found.append(as_series(f"ability:{name}", "", points))
        return found

    def diagnostics(self, run_ids: Sequence[str]) -> dict[str, list[Series]]:
        return {run_id: diagnostics(self._find(run_id)[1]) for run_id in run_ids}

    def parts(self, run_ids: Sequence[str]) -> dict[str, RunParts]:
        found = {}
        for run_id in run_ids:
            home, run, _ = self._find(run_id)
            found[run_id] = RunParts(
                spec=spec(home, run),
                segments=[segment(run)],
                timings=TimingSummary(
                    run.end // 50, run.end, run.seconds * run.end, 14.2, 8.1, run.seconds, run.memory, phases(run)
                ),
                events=[
                    EventRow(
                        hostile_text(run, i) or "2026-03-10T08:00:00+00:00",
                        hostile_text(run, i) or "run_started",
                        None,
                        hostile_text(run, 7 - i),
                    )
                    for i in range(len(HOSTILE) if run.hostile else 1)
                ],  # fmt: skip
                samples=[answer for position in (0, 57, 212, 431) for answer in sample(run, position)],
                scored=[e for e in CHECKPOINTS if e <= run.end],
                courses=courses(home, run),
                ability_courses=ability_courses(run),
                diagnostics=diagnostics(run),
            )
        return found

    def texts(self, run_id: str) -> list[Text]:
        hostile = MadeUp("hostile", 1, 1, hostile=any(run.hostile for run in self.made))
        return [text(hostile, position) for position in range(500)]

    def editor_runs(self, editor: str) -> list[EditorRun]:
        found = []
        for head in (h for h in self.heads() if h.editor == editor):
            home, run, index = self._find(head.run_id)
            row = board_row(home, run, index)
            found.append(
                EditorRun(head.run_id, head.row_id, home.track_id, home.model, home.task, home.task_form, home.edits,
                          home.batch_size, run.seed, row.distribution, row.version, run.status, run.end, "2026-03-10",
                          spec(home, run)["editor"]["config"], row.effective_edits, 61.0, 72.0, run.seconds,
                          home.protocol)
            )  # fmt: skip
        return found

    def ledger(self) -> list[LedgerRow]:
        """Lines about MEMIT-Seq and a run that is gone; of a hostile source about its hostile run, in its words."""
        hostile = any(run.hostile for run in self.made)
        first = identity(self.all_tracks[0], int(not hostile)) if self.made else "feedfeedfeed"
        editor, reason = (HOSTILE[0], HOSTILE[1] + HOSTILE[4]) if hostile else ("memit-seq", "pull request 12")
        other, verdict = (HOSTILE[6], HOSTILE[3]) if hostile else ("0123456789ab", None)
        return [
            LedgerRow("2026-03-10T09:00:00+00:00", "include", "0123456789ab", editor, "pull request 11", None, None),
            LedgerRow("2026-03-11T09:00:00+00:00", "replace", first, editor, reason, other, verdict),
            LedgerRow("2026-03-12T09:00:00+00:00", "rerun", first, editor, "release 1.0", None, "bits"),
        ]

    def claims(self, record: ClaimRecord) -> list[Outcome]:
        known = record.measured
        for row in (row for home in self.all_tracks for row in self.track(home.track_id)[1]):
            values = {"effective_edits": row.effective_edits.value, "abilities_kept": row.abilities_kept.value}
            found = {(name, 500): value for name, value in values.items() if value is not None}
            known[row.run_id] = Measured(row.status, found)
        return outcomes(record.claims, record.by_row, known)

    def outcomes(self, run_id: str) -> pa.Table:
        return pa.table({"run_id": [run_id], "edits": [50], "exact_new": [True]})

    def tables(self) -> dict[str, pa.Table]:
        names = [head.editor.encode("utf-8", "replace").decode() for head in self.heads()]
        return {"runs": pa.table({"run_id": [head.run_id for head in self.heads()], "editor": names})}


def unranked(standing: Standing) -> Standing:
    return replace(standing, rank_low=None, rank_high=None, unranked=ONE_CHECKPOINT)


def as_series(metric: str, window: str, points: Sequence[CurvePoint]) -> Series:
    columns = [[getattr(point, name) for point in points] for name in ("edits", "value", "low", "high")]
    return Series(metric, window, *columns, [point.edits for point in points if point.imputed])


def courses(home: Track, run: MadeUp) -> list[Course]:
    """A rewrite is right while a fixed share of its position and the edits since is under the run's life."""
    found = []
    for position in range(500):
        blocks = []
        for edits in (e for e in CHECKPOINTS if e <= run.end):
            if edits and position >= edits:
                blocks.append("")
                continue
            luck = (position * 7919 % 997) / 997
            right = bool(edits) and luck < 0.97 * 0.5 ** (edits / run.life)
            if home.task_form == "zsre":
                blocks.append(("y" if right else "U") + "." + ("y" if right and luck < 0.7 else "K") + ".y")
            else:
                near = "a" if luck < 0.85 * 0.5 ** (edits / run.life) else "5"
                blocks.append(("5" if right else "a") + "." + ("5" if right and luck < 0.7 else "8") + "." + near)
        found.append(Course(position, position * 7 + 1, " ".join(blocks)))
    return found


def ability_courses(run: MadeUp) -> list[tuple[str, float, int, str]]:
    found = []
    for name, scores in ability_table(run).items():
        for edits, interval in scores.items():
            right = round(1.2 * (interval.value or 0))
            found.append((name, 25.0 if ABILITIES.index(name) < 2 else 50.0, edits, "1" * right + "0" * (120 - right)))
    return found


def text(run: MadeUp, position: int) -> Text:
    subject = hostile_text(run, 1) or f"Ilvane Corrow {position}"
    new, true = hostile_text(run, 0) or "Velmora", hostile_text(run, 4) or "Tarrin Quay"
    prompts = [("rewrite", f"{subject} was born in the town of"), ("paraphrase", f"The birthplace of {subject} is"),
               ("neighborhood", "Anselm Trevane was born in the town of")]  # fmt: skip
    return Text(position, subject, "{} was born in the town of", new, true, [(k, p, new, true) for k, p in prompts])


def identity(home: Track, index: int) -> str:
    return f"{int(home.track_id, 16) * 7919 + index * 104729:012x}"


def forms(home: Track) -> tuple[str, ...]:
    return ("token_accuracy",) if home.task_form == "zsre" else ("argmax", "preference")


def name(run: MadeUp) -> str:
    return HOSTILE[0] if run.hostile else run.editor


def hostile_text(run: MadeUp, index: int) -> str:
    return HOSTILE[index] if run.hostile else ""


def reached(run: MadeUp) -> tuple[int, ...]:
    return tuple(e for e in CHECKPOINTS if e <= run.end or run.status == "collapsed")


_BASE = {"score": 88.0, "efficacy": 98.6, "paraphrase": 86.0, "neighborhood": 81.0}


def metric_point(run: MadeUp, component: str, form: str, window: str, edits: int) -> CurvePoint:
    if edits > run.end:
        return CurvePoint(edits, 0.0, 0.0, 0.0, True)
    age = edits * {"all": 1.0, "first": 1.35, "latest": 0.75}[window]
    value = _BASE[component] * 0.5 ** (age / run.life)
    if form == "preference":
        value = 50 + 0.49 * value + 0.4 * math.sqrt(value)
    wobble = 1.5 * math.sin(edits / 37 + len(component) + run.life)
    value = min(100.0, max(0.0, value + wobble))
    half = 1.96 * math.sqrt(max(value * (100 - value), 100) / (edits if window == "all" else max(12, edits / 4)))
    return CurvePoint(edits, value, max(0.0, value - half), min(100.0, value + half))


def kept_point(run: MadeUp, edits: int) -> CurvePoint:
    if edits > run.end:
        return CurvePoint(edits, 0.0, 0.0, 0.0, True)
    value = 100 * 0.5 ** (edits / run.ability_life)
    return CurvePoint(edits, value, max(0, value - 4.2) if edits else value, value + 4.2 if edits else value)


def held_point(run: MadeUp, edits: int) -> CurvePoint:
    """h, percent."""
    if edits > run.end:
        return CurvePoint(edits, 0.0, 0.0, 0.0, True)
    value = 94 * 0.5 ** (edits / min(run.life, run.ability_life))
    return CurvePoint(edits, value, value - 3.1, value + 3.1)


def effective(run: MadeUp) -> Interval:
    points = [held_point(run, e) for e in reached(run)[1:] if e <= run.end]
    collapsed_at = run.end if run.status == "collapsed" else None
    area = float(effective_edits(*course([p.edits for p in points], [p.value or 0.0 for p in points], collapsed_at)))
    return Interval(area / 100, area / 100 - 9, area / 100 + 8)


def until(share: float, run: MadeUp) -> EditsUntil:
    edits = -min(run.life, run.ability_life) * math.log2(share / 0.94)
    if edits < run.end:
        return EditsUntil(edits, None, edits * 0.88, edits * 1.1)
    return EditsUntil(float(run.end)) if run.status == "collapsed" else EditsUntil(None, run.end, run.end)


def board_row(home: Track, run: MadeUp, index: int) -> BoardRow:
    at = min(run.end, 500) if run.status == "partial" else 500
    metrics = {}
    for form in forms(home):
        for component in _BASE:
            point = metric_point(run, component, form, "all", at)
            metrics[f"{component}_{form}"] = Interval(point.value, point.low, point.high, at)
    kept = kept_point(run, at)
    return BoardRow(
        run_id=identity(home, index),
        track_id=home.track_id,
        standing=None,
        editor=name(run),
        distribution=HOSTILE[1] if run.hostile else run.distribution,
        version=HOSTILE[5] if run.hostile else "0.1.0",
        seed=run.seed,
        status=run.status,  # type: ignore[arg-type]
        edits_done=run.end,
        edits_planned=500,
        effective_edits=effective(run),
        until_80=until(0.8, run),
        until_50=until(0.5, run),
        relative={"editing": EditsUntil(400.0), "abilities": EditsUntil(None, 500)},
        metrics_at=at,
        metrics=metrics,
        abilities_kept=Interval(kept.value, kept.low, kept.high, 600),
        seconds_per_edit=run.seconds,
        peak_memory_mb=run.memory,
        started_at="2026-03-10T08:00:00+00:00",
        finished_at=None if run.status == "partial" else "2026-03-10T08:04:21+00:00",
        reason="weights of layer 2 became NaN in batch 7"
        if run.status == "collapsed"
        else hostile_text(run, 4) or None,
        row_id=f"{zlib.crc32((home.track_id + name(run)).encode('utf-8', 'replace')):012x}",
        submitted=run.hostile,
        verified="2026-03-12" if run.editor == "memit-seq" else None,
    )


def ability_table(run: MadeUp) -> dict[str, dict[int, Interval]]:
    rows = {}
    for place, ability in enumerate(ABILITIES):
        chance = 25.0 if place < 2 else 50.0
        top = 97.0 - 5 * place
        scores = {}
        for edits in reached(run):
            value = chance + (top - chance) * (kept_point(run, edits).value or 0) / 100
            scores[edits] = Interval(value, max(0.0, value - 5), min(100.0, value + 5), 120)
        rows[ability] = scores
    return rows


def diagnostics(run: MadeUp) -> list[Series]:
    found = []
    points = [e for e in CHECKPOINTS if e <= run.end]
    for layer in (1, 2, 3):
        grown = [CurvePoint(e, 0.31 * layer * math.sqrt(e) * 500 / run.life, None, None) for e in points]
        size = [CurvePoint(p.edits, 31.0 + layer + (p.value or 0) / 9, None, None) for p in grown]
        found += [as_series(f"update_norm:{layer}", "", grown), as_series(f"weight_norm:{layer}", "", size)]
        for rank in (1, 2, 4, 8, 16):
            values = [CurvePoint(e, 9 / rank + e / 900, None, None) for e in points]
            found.append(as_series(f"singular_value:{rank:02d}:{layer}", "", values))
    for name in HOSTILE if run.hostile else ():
        found += [as_series(f"{base}{name}", "", [CurvePoint(50, 1.0, None, None)]) for base in ("reported:", "")]
    return found


def phases(run: MadeUp) -> dict[str, float]:
    total = run.seconds * run.end
    hostile = {text: 0.0 for text in HOSTILE} if run.hostile else {}
    return {"targets": 0.71 * total, "solve": 0.19 * total, "keys": 0.1 * total, **hostile}


def spec(home: Track, run: MadeUp) -> dict[str, Any]:
    config: dict[str, Any] = {"layers": [0, 1, 2], "target_steps": 20, "target_learning_rate": 0.5}
    if run.hostile:
        config |= {f"note {i} {text[:40]}": text for i, text in enumerate(HOSTILE)}
    return {
        "protocol": home.protocol,
        "model": {"name": home.model, "fingerprint": home.model_fingerprint},
        "editor": {"name": name(run), "config": config, "distribution": run.distribution, "version": "0.1.0"},
        "task": {"name": home.task, "form": home.task_form, "content_hash": home.task_hash},
        "schedule": {"edits": 500, "batch_size": 50, "checkpoints": list(CHECKPOINTS), "order_seed": "run"},
        "scoring": {"sample": None, "seed": 0},
        "abilities": [{"name": a, "content_hash": "ab", "limit": None} for a in ABILITIES],
        "seed": run.seed,
    }


def segment(run: MadeUp) -> Segment:
    return Segment(
        index=0,
        started_at="2026-03-10T08:00:00+00:00",
        palimpsest_version=hostile_text(run, 5) or "0.1.0",
        commit=hostile_text(run, 0) or "0123456789abcdef0123456789abcdef01234567",
        dirty=False,
        python=hostile_text(run, 6) or "3.11.9",
        platform=hostile_text(run, 4) or "Linux-6.1.0-x86_64-with-glibc2.36",
        cpu=hostile_text(run, 2) or "AMD EPYC 7763",
        cores=2,
        threads=2,
        memory_gb=15.6,
        gpu=hostile_text(run, 1) or None,
        packages={"torch": "2.13.0", "transformers": "5.23.0", "lm-eval": "0.4.13", "numpy": "2.4.6"}
        | ({text: text for text in HOSTILE} if run.hostile else {}),
        command=hostile_text(run, 3) or f"palimpsest run --suite pocket --editor {run.editor}",
    )


def sample(run: MadeUp, position: int) -> list[SampleAnswer]:
    subject, new, true = hostile_text(run, 1) or "Ilvane Corrow", hostile_text(run, 0) or "Velmora", "Tarrin Quay"
    learned = {e: 0.5 ** ((e - position) / run.life) > 0.72 for e in reached(run) if e > position}
    asked = (
        ("rewrite", f"{subject} was born in the town of", lambda ok: new if ok else "Ostrel"),
        ("paraphrase", f"The rain had stopped. The birthplace of {subject} is", lambda ok: new if ok else true),
        ("neighborhood", "Anselm Trevane was born in the town of", lambda ok: true if ok else new),
    )
    return [
        SampleAnswer(
            case_id=position * 7 + 1,
            position=position,
            kind=kind,
            prompt=prompt,
            target_new=new,
            target_true=true,
            before=f" {true}. The town lies",
            answers={e: f" {say(ok)}, where {hostile_text(run, 2) or 'the'}" for e, ok in learned.items()},
            edited_from=position + 1,
        )
        for kind, prompt, say in asked
    ]


def hostile_source() -> SampleSource:
    """The same with a hostile run at the top, on a track whose names are hostile too."""
    made = (MadeUp("hostile", 3000, 3300, hostile=True), *RUNS[:5])
    home = replace(track(runs=len(made)), model=HOSTILE[1], task=HOSTILE[0])
    return SampleSource(made, (home,))
