"""A bundle is written and read back; whatever is changed in one, alone or with its checksums, is found."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from palimpsest.harness.errors import ConfigError, RunFailed, UsageError
from palimpsest.harness.runs import layout
from palimpsest.harness.specs.run_spec import RunSpec
from palimpsest.results.reading.made_texts import TEXT_FILES, made_texts
from palimpsest.results.reading.problems import Invalid
from palimpsest.results.reading.run_folder import read_run_folder
from palimpsest.results.submissions.bundle import MANIFEST, write_bundle
from palimpsest.results.submissions.editor_sources import editor_sources
from palimpsest.results.submissions.verify import Verification, verify_bundle
from tests.labs.synthetic import write_run
from tests.results.conftest import honest_run, small_runs

SOURCES = editor_sources("memit")
LAST = "scores/000040"


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("submission")
    run = folder / "runs" / write_run(folder / "runs", honest_run())
    return write_bundle(run, folder / "out", SOURCES, version="0.1.0")


@pytest.fixture
def bundle(original: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(original, tmp_path / original.name))


def reseal(bundle: Path) -> None:
    """Make all checksums true again, as somebody would who means to deceive."""
    for folder in (bundle / "scores").iterdir():
        manifest = json.loads((folder / "manifest.json").read_text())
        for name in manifest["files"]:
            manifest["files"][name] = entry(folder / name)
        (folder / "manifest.json").write_text(json.dumps(manifest))
    sealed = json.loads((bundle / MANIFEST).read_text())
    for name in sealed["files"]:
        if (bundle / name).is_file():
            sealed["files"][name] = entry(bundle / name)
    (bundle / MANIFEST).write_text(json.dumps(sealed))


def entry(path: Path) -> dict[str, Any]:
    data = path.read_bytes()
    return {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}


def text(found: Verification) -> str:
    return "\n".join(f"{problem.path}: {problem.message}" for problem in found.problems)


def change_table(bundle: Path, name: str, column: str, change: Callable[[Any], Any]) -> None:
    path = bundle / name
    table = pq.read_table(path)
    place = table.schema.get_field_index(column)
    values = pa.array(change(table[column].to_pylist()), table.schema.field(place).type)
    pq.write_table(table.set_column(place, column, values), path)


def change_json(path: Path, change: Callable[[Any], Any]) -> None:
    path.write_text(json.dumps(change(json.loads(path.read_text()))))


def test_an_untouched_bundle_is_good_and_holds_no_weights(original: Path) -> None:
    found = verify_bundle(original)
    assert found.good, text(found)
    assert not list(original.rglob("*.safetensors"))
    assert found.manifest is not None and found.manifest.editors[0].distribution == "palimpsest-bench"


@pytest.fixture(scope="module")
def spare(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle without texts, of a run whose texts are in the order in which the task has them."""
    folder = tmp_path_factory.mktemp("spare")
    run = folder / "runs" / write_run(folder / "runs", honest_run())
    spec = RunSpec.model_validate_json((run / "spec.json").read_bytes())
    for name, table in zip(TEXT_FILES, made_texts(spec), strict=True):
        (run / name).write_bytes(layout.packed(table))
    return write_bundle(run, folder / "out", SOURCES, version="0.1.0")


def test_texts_that_the_task_makes_are_left_out_and_read_all_the_same(spare: Path, original: Path) -> None:
    assert not any((spare / name).exists() for name in TEXT_FILES)
    found, whole = verify_bundle(spare), verify_bundle(original)
    assert found.good, text(found)
    assert found.run is not None and whole.run is not None
    assert found.run.cases.equals(whole.run.cases)
    keys = [("case_id", "ascending"), ("kind", "ascending"), ("index", "ascending")]
    assert found.run.probes.sort_by(keys).equals(whole.run.probes.sort_by(keys))


def test_texts_that_no_task_here_makes_are_missed(spare: Path, tmp_path: Path) -> None:
    bundle = Path(shutil.copytree(spare, tmp_path / spare.name))
    spec = RunSpec.model_validate_json((bundle / "spec.json").read_bytes())
    other = spec.model_copy(update={"task": spec.task.model_copy(update={"content_hash": "0" * 64})})
    moved = bundle.rename(tmp_path / other.id)
    (moved / "spec.json").write_text(other.canonical())
    reseal(moved)
    assert "cases.parquet is missing, and pocket-counterfact with the content 000000000000 does not ship" in text(
        verify_bundle(moved)
    )


def test_a_run_without_its_texts_is_damaged_where_it_is_no_bundle(spare: Path, tmp_path: Path) -> None:
    run = Path(shutil.copytree(spare, tmp_path / spare.name))
    (run / MANIFEST).unlink()
    with pytest.raises(Invalid, match=r"^cases\.parquet "):
        read_run_folder(run, "")


FILES = ["spec.json", "environment.json", "events.jsonl", "result.json", "cases.parquet", "probes.parquet"] + [
    f"{LAST}/{name}" for name in ("probes.parquet", "answers.parquet", "abilities.parquet", "diagnostics.parquet")
]


@pytest.mark.parametrize("name", [*FILES, MANIFEST, f"{LAST}/manifest.json"])
def test_a_flipped_byte_is_found_in_every_file(bundle: Path, name: str) -> None:
    data = bytearray((bundle / name).read_bytes())
    # In the middle of bundle.json may stand the last digit of a mean, which is compared with a tolerance.
    data[data.index(b'"sha256"') + 12 if name == MANIFEST else len(data) // 2] ^= 1
    (bundle / name).write_bytes(data)
    assert not verify_bundle(bundle).good


@pytest.mark.parametrize("name", [*FILES, f"{LAST}/manifest.json", MANIFEST])
def test_a_missing_file_is_found(bundle: Path, name: str) -> None:
    (bundle / name).unlink()
    assert not verify_bundle(bundle).good


def flipped(values: list[bool]) -> list[bool]:
    return [not values[0], *values[1:]]


def shifted(values: list[Any]) -> list[Any]:
    return [values[0] + 1, *values[1:]]


def negative(values: list[float]) -> list[float]:
    return [-0.5, *values[1:]]


TAMPERED: list[tuple[str, str, Callable[[Any], Any]]] = [
    *((f"{LAST}/probes.parquet", f"window_{name}", flipped) for name in ("all", "first", "latest", "planned")),
    *((f"{LAST}/probes.parquet", name, flipped) for name in ("exact_new", "exact_true")),
    *((f"{LAST}/probes.parquet", name, shifted) for name in ("case_id", "position", "index", "tokens_new", "hits_new")),
    *((f"{LAST}/probes.parquet", name, negative) for name in ("nll_new", "nll_true")),
    *((f"{LAST}/probes.parquet", name, shifted) for name in ("tokens_true", "hits_true")),
    (f"{LAST}/probes.parquet", "kind", lambda values: ["paraphrase", *values[1:]]),
    (f"{LAST}/abilities.parquet", "correct", flipped),
    (f"{LAST}/abilities.parquet", "chance", lambda values: [0.9] * len(values)),
    (f"{LAST}/abilities.parquet", "item", shifted),
    (f"{LAST}/abilities.parquet", "ability", lambda values: ["another", *values[1:]]),
    (f"{LAST}/abilities.parquet", "metric", lambda values: ["another"] * len(values)),
    (f"{LAST}/diagnostics.parquet", "value", negative),
    ("scores/000000/diagnostics.parquet", "value", lambda values: [1.0] * len(values)),
    (f"{LAST}/answers.parquet", "text", lambda values: ["something else altogether", *values[1:]]),
    ("cases.parquet", "case_id", shifted),
    ("cases.parquet", "position", shifted),
    ("probes.parquet", "case_id", shifted),
    ("probes.parquet", "index", lambda values: [values[0] + 50, *values[1:]]),
]


def other(values: list[Any]) -> list[Any]:
    """The same with another first value, whatever kind it is."""
    first = values[0]
    if isinstance(first, bool):
        return [not first, *values[1:]]
    if isinstance(first, str):
        return ["quite another text", *values[1:]]
    if isinstance(first, list):
        return [[*first, 1], *values[1:]]
    return [(first or 0) + 1, *values[1:]]


def test_every_column_of_every_table_is_looked_at(original: Path, tmp_path: Path) -> None:
    """One value of each is changed and all checksums are made true again."""
    unseen = []
    for path in sorted(original.rglob("*.parquet")):
        name = str(path.relative_to(original))
        table = pq.read_table(path)
        for column in table.column_names if len(table) else ():
            bundle = Path(shutil.copytree(original, tmp_path / original.name))
            change_table(bundle, name, column, other)
            reseal(bundle)
            if verify_bundle(bundle).good:
                unseen.append(f"{name} {column}")
            shutil.rmtree(bundle)
    assert unseen == []


SUBMITTERS_OWN = {"note", "palimpsest_version"}
"""What the manifest only says about itself; nothing else in the bundle speaks of it."""


def test_every_value_of_the_manifest_is_looked_at(original: Path, tmp_path: Path) -> None:
    sealed = json.loads((original / MANIFEST).read_text())
    unseen = set()
    for key in sealed:
        changed = dict(sealed)
        match sealed[key]:
            case dict() as inner:
                first = next(iter(inner))
                changed[key] = {**inner, first: 7.25}
            case [dict() as row, *others]:
                changed[key] = [{**row, next(iter(row)): "another"}, *others]
            case [[_, *row], *others]:
                changed[key] = [["another", *row], *others]
            case value:
                changed[key] = f"{value}1" if isinstance(value, str) else value + 1
        bundle = Path(shutil.copytree(original, tmp_path / original.name))
        (bundle / MANIFEST).write_text(json.dumps(changed))
        if verify_bundle(bundle).good:
            unseen.add(key)
        shutil.rmtree(bundle)
    assert unseen <= SUBMITTERS_OWN


@pytest.mark.parametrize(("name", "column", "change"), TAMPERED, ids=lambda value: getattr(value, "__name__", value))
def test_a_changed_value_with_true_checksums_is_found(
    bundle: Path, name: str, column: str, change: Callable[[Any], Any]
) -> None:
    change_table(bundle, name, column, change)
    reseal(bundle)
    assert not verify_bundle(bundle).good


def test_better_outcomes_contradict_the_stated_means(bundle: Path) -> None:
    def better(values: list[float]) -> list[float]:
        return [value / 2 for value in values]

    change_table(bundle, f"{LAST}/probes.parquet", "nll_new", better)
    reseal(bundle)
    assert "but its rows give" in text(verify_bundle(bundle))


def test_better_means_contradict_the_rows(bundle: Path) -> None:
    def better(manifest: Any) -> Any:
        mean = next(mean for mean in manifest["means"] if mean[0] == 40 and mean[2] == "score_argmax")
        mean[3] += 0.5
        return manifest

    change_json(bundle / MANIFEST, better)
    found = verify_bundle(bundle)
    assert "score_argmax at 40 edits, window all is" in text(found) and len(found.problems) == 1


def _set(**values: Any) -> Callable[[Any], Any]:
    return lambda content: {**content, **values}


@pytest.mark.parametrize(
    ("name", "change", "complaint"),
    [
        ("spec.json", _set(seed=7), "belongs to run"),
        ("result.json", _set(edits=30), "do not fit the status"),
        ("result.json", _set(status="failed", edits=30), "must say complete or collapsed"),
        ("result.json", _set(status="collapsed", edits=20, reason="x"), "is there, but the run ended after 20 edits"),
        ("result.json", _set(status=[[]]), "status"),
        ("environment.json", _set(segments=[]), "names no environment"),
        ("environment.json", _set(segments=[{"gpu": [1]}]), "has a gpu of a kind"),
        ("environment.json", _set(segments=[{"cores": True}]), "has a cores of a kind"),
        ("environment.json", _set(segments=[{"started_at": "2999-01-01T00:00:00+00:00"}]), "no time that has passed"),
        (MANIFEST, _set(run="0" * 12), "belongs to run 000000000000"),
        (MANIFEST, _set(format=9), "has format 9"),
        (MANIFEST, _set(editors=[]), "editors"),
        (MANIFEST, _set(unknown=1), "unknown"),
    ],
)
def test_changed_words_are_found(bundle: Path, name: str, change: Callable[[Any], Any], complaint: str) -> None:
    change_json(bundle / name, change)
    reseal(bundle)
    assert complaint in text(verify_bundle(bundle))


def test_an_editor_that_is_not_the_run_s_is_found(bundle: Path) -> None:
    other = {"name": "rome", "distribution": "other", "version": "9", "sha256": "0" * 64}
    change_json(bundle / MANIFEST, _set(editors=[other]))
    found = text(verify_bundle(bundle))
    assert "names rome, but the run is of memit" in found
    assert "distribution other, but the spec says palimpsest-bench" in found and "version 9" in found


def test_a_left_out_checkpoint_and_batch_are_found(bundle: Path) -> None:
    shutil.rmtree(bundle / "scores" / "000020")
    lines = (bundle / "events.jsonl").read_text().splitlines(keepends=True)
    (bundle / "events.jsonl").write_text("".join(line for line in lines if json.loads(line).get("index") != 1))
    reseal(bundle)
    found = text(verify_bundle(bundle))
    assert "scores/000020: is missing" in found
    assert "does not tell of batch 1" in found


def test_all_problems_are_listed_at_once(bundle: Path) -> None:
    change_table(bundle, f"{LAST}/probes.parquet", "nll_new", negative)
    change_table(bundle, f"{LAST}/diagnostics.parquet", "value", negative)
    change_json(bundle / "environment.json", _set(segments=[]))
    reseal(bundle)
    found = text(verify_bundle(bundle))
    assert all(part in found for part in ("negative nll_new", "_norm of -0.5", "names no environment"))


def test_links_strange_files_and_deep_folders_are_refused_before_anything_is_read(bundle: Path) -> None:
    secret = bundle.parent / "secret.txt"
    secret.write_text("not yours")
    (bundle / "events.jsonl").unlink()
    (bundle / "events.jsonl").symlink_to(secret)
    (bundle / "run.py").write_text("raise SystemExit")
    (bundle / "scores" / "000040" / "deeper").mkdir()
    os.mkfifo(bundle / "pipe")
    found = text(verify_bundle(bundle))
    for name, complaint in (
        ("events.jsonl", "is a link"),
        ("run.py", "does not belong"),
        ("scores/000040/deeper", "is a folder that does not belong"),
        ("pipe", "is a link or no plain file"),
    ):
        assert f"{name}: {complaint}" in found
    assert "not yours" not in found


def test_a_bundle_that_is_a_link_or_too_large_is_refused(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    link = bundle.parent / "link"
    link.symlink_to(bundle)
    assert "is not a folder of its own" in text(verify_bundle(link))
    monkeypatch.setattr("palimpsest.results.submissions.verify.MAX_BYTES", 1000)
    assert "more than the 1000 of a bundle" in text(verify_bundle(bundle))


def test_names_that_lead_out_of_the_bundle_are_only_names(bundle: Path) -> None:
    def outside(manifest: Any) -> Any:
        manifest["files"]["../../etc/passwd"] = {"bytes": 1, "sha256": "0" * 64}
        return manifest

    change_json(bundle / MANIFEST, outside)
    assert "../../etc/passwd: is listed in bundle.json, but missing" in text(verify_bundle(bundle))


@pytest.mark.parametrize("content", [b"[" * 200_000, b"\x00\xff" * 50, b'{"format": NaN}', b""])
def test_manifests_that_are_no_manifest(bundle: Path, content: bytes) -> None:
    (bundle / MANIFEST).write_bytes(content)
    assert not verify_bundle(bundle).good


def test_texts_that_are_no_utf_8_are_a_problem_like_any_other(bundle: Path) -> None:
    table = pq.read_table(bundle / "cases.parquet")
    broken = pa.Array.from_buffers(
        pa.string(), len(table), pa.array([b"\xff\xa5"] * len(table), pa.binary()).buffers()
    )  # fmt: skip
    place = table.schema.get_field_index("subject")
    pq.write_table(table.set_column(place, "subject", broken), bundle / "cases.parquet")
    reseal(bundle)
    assert "cases.parquet is not a readable Parquet table" in text(verify_bundle(bundle))


def test_a_table_of_too_many_rows_is_not_unpacked(bundle: Path) -> None:
    zeros = np.zeros(21_000_000, np.int8)
    pq.write_table(pa.table({"item": zeros}), bundle / LAST / "abilities.parquet", compression="zstd")
    reseal(bundle)
    assert "more than is read" in text(verify_bundle(bundle))


def test_only_finished_whole_runs_become_bundles(tmp_path: Path) -> None:
    complete, partial, _ = small_runs()
    with pytest.raises(UsageError, match="There is no run 000000000000"):
        write_bundle(tmp_path / "000000000000", tmp_path / "out", SOURCES, version="0.1.0")
    with pytest.raises(RunFailed, match="is partial at 20 of 40 edits"):
        write_bundle(tmp_path / write_run(tmp_path, partial), tmp_path / "out", SOURCES, version="0.1.0")
    run = tmp_path / write_run(tmp_path, complete)
    (run / "scores" / "000040" / "probes.parquet").write_bytes(b"torn")
    with pytest.raises(ConfigError, match="probes.parquet does not match its size or checksum"):
        write_bundle(run, tmp_path / "out", SOURCES, version="0.1.0")
    assert not list((tmp_path / "out").glob("*")) if (tmp_path / "out").exists() else True


def test_a_bundle_is_never_overwritten_and_tracebacks_stay_at_home(tmp_path: Path) -> None:
    run = tmp_path / write_run(tmp_path, honest_run())
    warning = {"time": "2026-01-02T03:04:05+00:00", "event": "warning", "message": "x"}
    whole_lines = (run / "events.jsonl").read_text().rpartition("\n")[0] + "\n"
    (run / "events.jsonl").write_text(whole_lines)
    with (run / "events.jsonl").open("a") as journal:
        journal.write(json.dumps({**warning, "traceback": "/home/me/secret.py"}) + "\n")
    bundle = write_bundle(run, tmp_path / "out", SOURCES, version="0.1.0")
    assert "/home/me" not in (bundle / "events.jsonl").read_text()
    assert verify_bundle(bundle).good
    with pytest.raises(UsageError, match="is there already"):
        write_bundle(run, tmp_path / "out", SOURCES, version="0.1.0")
