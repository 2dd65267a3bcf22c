"""Facts that are known without a network: what ships with this Palimpsest, compared with what a bundle says of it.

Editors, models, edit tasks and ability tasks that ship are compared by content. Of others only the form is known: names
in plain ASCII, none that looks like one of ours, and levels of chance that can be.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import cache
from importlib import metadata
from importlib.metadata import entry_points

import pyarrow as pa
import pyarrow.compute as pc
from packaging.version import InvalidVersion, Version

from palimpsest.harness.errors import PalimpsestError
from palimpsest.harness.model.catalogue import fingerprint, registered_models
from palimpsest.harness.plugins.entry_points import GROUP, EditorEntry
from palimpsest.harness.runs import layout
from palimpsest.harness.specs.cases import EditTask
from palimpsest.harness.specs.composition import parse, spell
from palimpsest.harness.specs.run_spec import PROTOCOL, AbilityRef, RunSpec
from palimpsest.harness.system.environment import DISTRIBUTION
from palimpsest.results.reading.cleaning import clean_text
from palimpsest.results.reading.made_texts import shipped_task, tables_of, texts_of
from palimpsest.results.reading.run_folder import CheckedRun
from palimpsest.results.submissions.bundle import MANIFEST, Manifest, Source
from palimpsest.results.submissions.editor_sources import package_hash
from palimpsest.tasks.ability_library import ability_refs, local_tasks, own_tasks
from palimpsest.tasks.known import split_name
from palimpsest.tasks.registry import task_names

Found = Iterator[tuple[str, str]]
"""(file, what contradicts it)."""
EARLIER_RELEASES: dict[str, str] = {}
"""Version of Palimpsest → SHA-256 of its editors' package; whoever releases a version adds the one before it."""
_EDITOR = re.compile(r"[A-Za-z0-9]+([._-][A-Za-z0-9]+)*")
_CHANCE = re.compile(r"^  chance: ([0-9.]+)\s*(?:#.*)?$", re.MULTILINE)
_MOST_CHANCE = 0.5
"""A choice is among two at least."""


def contradictions(run: CheckedRun, manifest: Manifest | None) -> Found:
    """Statements of a bundle that contradict what is known."""
    yield from _spec(run.spec)
    told = [(layout.ENVIRONMENT, segment.get("palimpsest_version")) for segment in run.segments]
    for place, version in [*told, *([(MANIFEST, manifest.palimpsest_version)] if manifest is not None else [])]:
        if not _is_release(version):
            yield place, f"names Palimpsest {clean_text(version, 50)}; this is {metadata.version(DISTRIBUTION)}"
    if manifest is not None:
        for source in manifest.editors:
            yield from ((MANIFEST, f"editors: {text}") for text in _editor(source))
    yield from _model(run.spec)
    yield from _task(run)
    for ref in run.spec.abilities:
        yield from _ability(run, ref)


def _is_release(version: object) -> bool:
    """True for a version of Palimpsest that is not later than this one."""
    try:
        return Version(str(version)) <= Version(metadata.version(DISTRIBUTION))
    except InvalidVersion:
        return False


def _spec(spec: RunSpec) -> Found:
    if spec.protocol > PROTOCOL:
        yield layout.SPEC, f"has protocol {spec.protocol}; this Palimpsest knows the protocols up to {PROTOCOL}"
    names = {"model": spec.model.name, "task": spec.task.name, "editor": spec.editor.name}
    names |= {f"ability {place}": ability.name for place, ability in enumerate(spec.abilities)}
    for what, name in names.items():
        if not (name.isascii() and name.isprintable() and name == name.strip()):
            yield layout.SPEC, f"{what}: the name {clean_text(name, 100)!r} is not of plain ASCII characters"
    try:
        canonical = spell(parse(spec.editor.name))
    except PalimpsestError:
        canonical = ""
    if canonical != spec.editor.name:
        yield layout.SPEC, f"editor: {clean_text(spec.editor.name, 100)!r} is no composition in its canonical form"


@cache
def _built_in() -> dict[str, EditorEntry]:
    """The editors that ship, by name, whatever restricts those that may load."""
    found = {}
    for point in entry_points(group=GROUP):
        if point.dist is not None and _plain(point.dist.name) == DISTRIBUTION:
            found[point.name] = EditorEntry(point.name, DISTRIBUTION, point.dist.version, point.value)
    return found


def _plain(distribution: str) -> str:
    """A distribution's name as package indices compare it."""
    return re.sub(r"[-_.]+", "-", distribution).lower()


def _editor(source: Source) -> Iterator[str]:
    ours = _built_in()
    name = clean_text(source.name, 100)
    if not _EDITOR.fullmatch(source.name):
        yield f"{name!r} is no name of an editor"
    for what, text in (("distribution", source.distribution), ("version", source.version)):
        if not (text.isascii() and text.isprintable() and text == text.strip()):
            yield f"{what} {clean_text(text, 100)!r} is not of plain ASCII characters"
    if _plain(source.distribution) != DISTRIBUTION:
        if source.name.lower() in {one.lower() for one in ours}:
            yield f"{name} is an editor of {DISTRIBUTION}, not of {clean_text(source.distribution, 100)}"
        return
    if source.distribution != DISTRIBUTION or source.name not in ours:
        yield f"{name} of {clean_text(source.distribution, 100)} is no editor of {DISTRIBUTION}"
        return
    entry = ours[source.name]
    known = EARLIER_RELEASES | {entry.version: package_hash(entry)}
    if source.version not in known:
        yield (
            f"{name} has version {clean_text(source.version, 50)}; known are {', '.join(known)}. Make the run with one "
            "of them"
        )
    elif source.sha256 != known[source.version]:
        yield (
            f"{name} was made from another source ({source.sha256[:12]}) than {DISTRIBUTION} {source.version} has "
            f"({known[source.version][:12]}). Make the run with the code as it was released"
        )


def _model(spec: RunSpec) -> Found:
    ships = {name: entry for name, entry in registered_models().items() if entry.folder is not None}
    known = {name: fingerprint(entry) for name, entry in ships.items()}
    name = spec.model.name
    if name in known and (spec.model.fingerprint, spec.model.dtype) != (known[name], ships[name].dtype):
        yield layout.SPEC, f"model: {name} has the fingerprint {known[name][:12]} and is loaded as {ships[name].dtype}"
    same = [one for one, known_fingerprint in known.items() if known_fingerprint == spec.model.fingerprint]
    if same and name not in same:
        yield layout.SPEC, f"model: {clean_text(name, 100)} has the fingerprint of {same[0]}, and must be called so"


def _task(run: CheckedRun) -> Found:
    spec = run.spec.task
    whole, short = split_name(spec.name) or (spec.name, "")
    base = whole.partition(":")[0]
    if base not in task_names():
        yield layout.SPEC, f"task: {clean_text(base, 100)!r} is no task of this Palimpsest"
        return
    if short is None:
        yield layout.SPEC, f"task: {clean_text(spec.name, 100)} does not say which model's known facts are meant"
        return
    shipped = shipped_task(spec.name)
    if shipped is None:
        if (made := shipped_task(whole)) is not None:  # what a model knows of it, by a list that does not ship
            yield from _part(run, made)
        elif spec.order_hash is None:
            yield layout.SPEC, f"task: {clean_text(spec.name, 100)} does not ship, so it needs an order_hash"
        ours = [name for name in task_names() if (task := shipped_task(name)) and _same(task, run.spec)]
        if ours:
            yield layout.SPEC, f"task: has the content of {ours[0]}, and must be called so"
    elif (shipped.content_hash, shipped.form, None, 0) != (
        spec.content_hash, spec.form, spec.order_hash, spec.skipped
    ):  # fmt: skip
        yield (
            layout.SPEC,
            f"task: {spec.name} ships with the content {shipped.content_hash[:12]} and form {shipped.form}",
        )
    elif run.spec.schedule.edits > len(shipped.cases):
        yield layout.SPEC, f"schedule: {spec.name} has {len(shipped.cases)} cases"
    else:
        yield from _texts(run, shipped)


def _part(run: CheckedRun, whole: EditTask) -> Found:
    """Check that cases and probes are some of those that ship, whatever a list chose among them."""
    spec = run.spec.task
    if (spec.form, spec.order_hash, spec.skipped) != (whole.form, None, 0):
        yield layout.SPEC, f"task: {whole.name} has the form {whole.form}, no order_hash, and skips nothing"
    ids = set(run.cases["case_id"].to_pylist())
    cases, probes = tables_of([case for case in whole.cases if case.request.case_id in ids])
    for name, table, own, keys in (
        (layout.CASES, run.cases, cases, ("case_id", "subject")),
        (layout.PROBES, run.probes, probes, ("case_id", "kind")),
    ):
        texts = (*keys, "prompt", "target_new", "target_true")
        strange = len(_by_key(table, texts, ()).keys() - _by_key(own, texts, ()).keys())
        if strange:
            yield name, f"has {strange} rows that {whole.name} does not have"


def _same(task: EditTask, spec: RunSpec) -> bool:
    return task.content_hash == spec.task.content_hash


def _texts(run: CheckedRun, task: EditTask) -> Found:
    """Check cases and probes against the data that ship, row by row."""
    texts = ("subject", "prompt", "target_new", "target_true")
    cases, probes = texts_of(run.spec.task.name, run.spec.schedule, run.spec.seed)
    for name, table, keys, own in (
        (layout.CASES, run.cases, ("position", "case_id"), cases),
        (layout.PROBES, run.probes, ("case_id", "kind", "index"), probes),
    ):
        columns = texts if name == layout.CASES else texts[1:]
        found, wanted = (_by_key(one, keys, columns) for one in (table, own))
        if found.keys() != wanted.keys():
            yield name, f"does not hold the rows that {task.name} has under this content hash"
        elif found != wanted:
            differing = sum(found[key] != row for key, row in wanted.items())
            yield name, f"has {differing} rows with other texts than {task.name} has under this content hash"


def _by_key(table: pa.Table, keys: Sequence[str], texts: Sequence[str]) -> dict[tuple[object, ...], tuple[str, ...]]:
    columns = [table[name].to_pylist() for name in (*keys, *texts)]
    return {row[: len(keys)]: row[len(keys) :] for row in zip(*columns, strict=True)}


@cache
def _shipped_ability(name: str) -> tuple[str, int] | None:
    """Content hash and number of items of an ability task whose items ship."""
    path = own_tasks().get(name)
    if path is None or not path.with_suffix(".jsonl").is_file():
        return None
    (ref,) = ability_refs([name], None)
    return ref.content_hash, len(path.with_suffix(".jsonl").read_text(encoding="utf-8").splitlines())


@cache
def _stated_chance(name: str) -> float | None:
    """The level of chance that the file of a task names."""
    path = local_tasks().get(name) or own_tasks().get(name)
    found = None if path is None else _CHANCE.search(path.read_text(encoding="utf-8"))
    return None if found is None else float(found[1])


def _ability(run: CheckedRun, ref: AbilityRef) -> Found:
    name = ref.name if _EDITOR.fullmatch(ref.name) else ""
    shipped = _shipped_ability(name) if name else None
    stated = _stated_chance(name) if name else None
    if shipped is not None and shipped[0] != ref.content_hash:
        yield layout.SPEC, f"abilities: {name} ships with the content {shipped[0][:12]}, got {ref.content_hash[:12]}"
        return
    for edits, tables in run.checkpoints.items():
        place = f"{layout.SCORES}/{layout.position(edits)}/{layout.ABILITIES}"
        table = tables[layout.ABILITIES]
        rows = table.filter(pc.equal(table["ability"], clean_text(ref.name, 200)))
        chance = set(rows["chance"].to_pylist())
        if stated is not None and chance != {stated}:
            yield place, f"{name} has chance {sorted(chance)}, its task says {stated}"
        if stated is None and any(level > _MOST_CHANCE for level in chance):
            yield place, f"{clean_text(ref.name, 100)} has a level of chance above {_MOST_CHANCE}"
        if any(level == 0 for level in chance) and rows["label"].null_count < len(rows):
            yield place, f"{clean_text(ref.name, 100)} has labels, so its level of chance is not 0"
        wanted = None if shipped is None else min(shipped[1], ref.limit or shipped[1])
        if wanted is not None and len(rows) != wanted:
            yield place, f"{name} has {len(rows)} items, the task has {wanted}"
