"""Bundles of runs of known facts and of plain abilities: what ships of them is compared, as of all other bundles."""

from __future__ import annotations

import shutil
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from palimpsest.cli.app import main
from palimpsest.harness.runs import layout
from palimpsest.results.reading.made_texts import TEXT_FILES
from palimpsest.results.submissions.verify import verify_bundle
from palimpsest.tasks import known
from palimpsest.tasks.known import KnownFacts
from palimpsest.tasks.registry import load_task
from tests.labs import forgeries
from tests.labs.forgeries import seal

RUN = (
    *("run", "--model", "pocket-gpt2", "--editor", "ft-l", "--edits", "6", "--batch-size", "3"),
    *("--checkpoints", "0,6", "--quiet"),
)
OWN = "pocket-counterfact@known-0123456789ab"


def submitted(home: Path, *words: str) -> Path:
    """A run with these words, and its bundle."""
    assert main([*RUN, *words, "--home", str(home)]) == 0
    (run,) = (home / "runs").iterdir()
    assert main(["submit", run.name, "--out", str(home / "out"), "--home", str(home)]) == 0
    return home / "out" / run.name


@pytest.fixture(scope="module")
def shipped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of facts whose list ships, and of an ability in plain English."""
    words = ("--task", "pocket-counterfact", "--known", "--abilities", "plain_sense")
    return submitted(tmp_path_factory.mktemp("shipped"), *words)


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of facts whose list is of another machine: it leaves out first and middle probes of a case, or all of them."""
    home = tmp_path_factory.mktemp("own")
    task = load_task("pocket-counterfact")
    kept = [((1,), (0, 3)), ((), ()), ((0,), (2,)), ((0, 1), (1, 4)), ((1,), ()), ((), (3,))]
    ids = [case.request.case_id for case in task.cases]
    facts = KnownFacts(
        task=task.name, content_hash=task.content_hash, model="some-model", fingerprint="0123456789ab" + "c" * 52,
        version="0", cases=tuple((ids[place], *probes) for place, probes in enumerate(kept)),
    )  # fmt: skip
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("PALIMPSEST_CACHE", str(home / "cache"))
        known.keep_list(facts)
        return submitted(home, "--task", OWN, "--abilities", "none")


def told(bundle: Path) -> str:
    return "\n".join(f"{problem.path}: {problem.message}" for problem in verify_bundle(bundle).problems)


def test_a_bundle_of_known_facts_is_good_and_leaves_out_the_texts_that_ship(shipped: Path) -> None:
    assert verify_bundle(shipped).good, told(shipped)
    assert not any((shipped / name).exists() for name in TEXT_FILES)


def test_known_facts_by_a_list_of_another_machine_are_compared_with_the_whole_task(own: Path, tmp_path: Path) -> None:
    assert verify_bundle(own).good, told(own)
    probes = pq.read_table(own / layout.PROBES)
    assert "paraphrase" in probes["kind"].to_pylist() and (own / layout.CASES).is_file()
    for number, (name, column) in enumerate(((layout.CASES, "target_new"), (layout.PROBES, "prompt"))):
        bundle = Path(shutil.copytree(own, tmp_path / str(number) / own.name))
        forgeries.column(bundle / name, column, lambda values: [f"{values[0]}s", *values[1:]])
        assert f"{name}: has 1 rows that pocket-counterfact does not have" in told(seal(bundle))


def test_known_facts_of_nobody_are_refused(own: Path, tmp_path: Path) -> None:
    bundle = Path(shutil.copytree(own, tmp_path / own.name))
    forgeries.spec(bundle, lambda content: content["task"].update(name="pocket-counterfact@known"))
    assert "does not say which model's known facts are meant" in told(seal(bundle))


def test_items_of_plain_abilities_that_ship_are_compared(shipped: Path, tmp_path: Path) -> None:
    bundle = Path(shutil.copytree(shipped, tmp_path / "content" / shipped.name))
    forgeries.spec(bundle, lambda content: content["abilities"][0].update(content_hash="1" * 64))
    assert "plain_sense ships with the content" in told(seal(bundle))
    bundle = Path(shutil.copytree(shipped, tmp_path / "items" / shipped.name))
    forgeries.table(bundle / "scores" / "000006" / layout.ABILITIES, lambda table: table.slice(0, 150))
    assert "plain_sense has 150 items, the task has 200" in told(seal(bundle))
    bundle = Path(shutil.copytree(shipped, tmp_path / "chance" / shipped.name))
    forgeries.column(bundle / "scores" / "000006" / layout.ABILITIES, "chance", lambda values: [0.1] * len(values))
    assert "plain_sense has chance [0.1], its task says" in told(seal(bundle))
