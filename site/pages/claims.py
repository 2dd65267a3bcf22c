"""Claims: what was written down before the runs, what the runs said, and which of it is sure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from palimpsest.results.analysis.claims import Judgement, Outcome
from palimpsest.results.store.bulk import RunHead
from palimpsest.results.store.claim_record import ClaimRecord
from palimpsest.site.jobs import Batch, File, Job, fingerprint
from palimpsest.site.parts import payload
from palimpsest.site.words import labels
from palimpsest.site.words.labels import Status
from palimpsest.site.words.text import MISSING, file_name, fixed, significant
from palimpsest.tasks.claim_files import Claim
from palimpsest.tasks.claim_quantities import LAYERED, unit_of

_VERDICTS = {
    "shown": Status("shown", "✓", "good"),
    "refuted": Status("refuted", "✕", "bad"),
    "open": Status("open", "○", "quiet"),
}
_NOT_YET = "not run yet"


@dataclass(frozen=True, slots=True)
class Side:
    """One row of a pair."""

    title: str
    setting: str
    href: str
    """The editor's page; empty where it has none."""


@dataclass(frozen=True, slots=True)
class SeedRow:
    """One seed of a claim."""

    seed: int
    difference: str
    """A − B; empty where a run is missing."""
    runs: tuple[tuple[str, str], ...]
    """Name of the row and address of its run's page, empty for a run that is not there; A and B of each pair."""


@dataclass(frozen=True, slots=True)
class ClaimRow:
    """One claim."""

    id: str
    statement: str
    paper: str
    pairs: tuple[tuple[Side, Side], ...]
    quantity: str
    definition: str
    edits: int
    direction: str
    test: str
    seeds: tuple[SeedRow, ...]
    mean: str
    interval: str
    p: str
    """Holm's, with the words around it."""
    verdict: Status


@dataclass(frozen=True, slots=True)
class SetView:
    """Claims that are judged together, in groups of one batch size."""

    name: str
    description: str
    level: str
    seeds: tuple[int, ...]
    total: int
    elsewhere: bool
    """True where runs that are not here count by numbers that were published."""
    counts: tuple[tuple[Status, int], ...]
    groups: tuple[tuple[int, tuple[ClaimRow, ...]], ...]


def claims_batch(
    page: Callable[..., File],
    code: str,
    records: Sequence[ClaimRecord],
    heads: Sequence[RunHead],
    ask: Callable[[ClaimRecord], Sequence[Outcome]],
) -> Batch:
    """The page of all sets of which some run is in the store.

    Args:
        page: Makes a page: (path, template, key of the navigation, **context).
        code: Fingerprint of what all pages depend on.
        records: The sets, see `shown_records`.
        heads: All runs.
        ask: What the runs say about the claims of a record.
    """
    wanted = {run for record in records for run in record.run_ids}
    runs = [(head.run_id, head.digest) for head in heads if head.run_id in wanted]
    print_of = fingerprint(code, [record.model_dump(mode="json") for record in records], runs)

    def make(keys: Sequence[str]) -> Iterator[tuple[str, File]]:
        sets = [set_view(record, ask(record), heads) for record in records]
        yield keys[0], page("claims.html", "claims.html", "claims", sets=sets)

    return Batch([Job("claims", print_of)], make)


def shown_records(records: Sequence[ClaimRecord], heads: Sequence[RunHead]) -> list[ClaimRecord]:
    """The sets of which at least one run is there."""
    there = {head.run_id for head in heads}
    return [record for record in records if there.intersection(record.run_ids)]


def set_view(record: ClaimRecord, outcomes: Sequence[Outcome], heads: Sequence[RunHead]) -> SetView:
    """A set as the page shows it."""
    claims, sizes = record.claims, record.batch_sizes
    there = {head.run_id for head in heads}
    pages = {head.editor: f"editor/{payload.editor_file(head.editor)}.html" for head in heads}
    rows = {one.claim.id: _claim_row(one, record, there, pages) for one in outcomes}
    by_size: dict[int, list[ClaimRow]] = {}
    for claim in claims.claims:
        by_size.setdefault(sizes[claim.pairs[0][0]], []).append(rows[claim.id])
    found = [row.verdict for row in rows.values()]
    statuses = [*_VERDICTS.values(), *(status for status in found if status.word not in _VERDICTS)]
    return SetView(
        name=claims.name,
        description=claims.description,
        level=f"{100 * claims.level:g}",
        seeds=claims.seeds,
        total=len(rows),
        elsewhere=any(one.run not in there for one in record.numbers),
        counts=tuple((status, found.count(status)) for status in dict.fromkeys(statuses)),
        groups=tuple((size, tuple(by_size[size])) for size in sorted(by_size, reverse=True)),
    )


def _claim_row(one: Outcome, record: ClaimRecord, there: set[str], pages: Mapping[str, str]) -> ClaimRow:
    claim, found = one.claim, one.judgement
    return ClaimRow(
        id=claim.id,
        statement=claim.statement,
        paper=claim.source,
        pairs=tuple((_side(a, record, pages), _side(b, record, pages)) for a, b in claim.pairs),
        quantity=_quantity(claim),
        definition=LAYERED[claim.metric].definition if claim.metric in LAYERED else "",
        edits=claim.edits,
        direction=claim.direction,
        test=claim.test,
        seeds=tuple(_seed_row(seed, one, record, there) for seed in record.claims.seeds),
        mean=MISSING if found is None else _signed(found.mean),
        interval="" if found is None else _interval(found),
        p="" if found is None else _chance(found.adjusted),
        verdict=_verdict(one),
    )


def _side(name: str, record: ClaimRecord, pages: Mapping[str, str]) -> Side:
    row = record.claims.by_name[name]
    return Side(labels.editor_title(row.editor), row.setting, pages.get(row.editor, ""))


def _quantity(claim: Claim) -> str:
    title = LAYERED[claim.metric].title if claim.metric in LAYERED else labels.metric_title(claim.metric)
    return f"{title}, %" if unit_of(claim.metric) == "%" else title


def _seed_row(seed: int, one: Outcome, record: ClaimRecord, there: set[str]) -> SeedRow:
    runs: list[tuple[str, str]] = []
    for name in (name for pair in one.claim.pairs for name in pair):
        run = record.by_row[name][seed]
        runs.append((name, f"run/{file_name(run)}.html" if run in there else ""))
    return SeedRow(seed, _signed(one.differences[seed]) if seed in one.differences else "", tuple(runs))


def _verdict(one: Outcome) -> Status:
    if one.judgement is not None:
        return _VERDICTS[one.judgement.verdict]
    reasons = list(dict.fromkeys(lack.why for lack in one.lacking))
    return Status(_NOT_YET if reasons == [_NOT_YET] else f"runs {', '.join(reasons)}", "·", "quiet")


def _signed(value: float) -> str:
    text = fixed(value, 1) if abs(value) >= 10 else significant(value, 3)
    return f"+{text}" if value > 0 else text


def _interval(found: Judgement) -> str:
    low, high = ("…" if end is None else _signed(end) for end in (found.low, found.high))
    return f"{low} to {high} at {100 * found.confidence:.4g}\N{NO-BREAK SPACE}%"


def _chance(p: float) -> str:
    return "p < 0.0001" if p < 1e-4 else f"p = {p:.2g}"
