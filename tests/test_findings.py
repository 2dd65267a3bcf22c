"""docs/findings.md: the printed part stands between its markers, is whole, and is written without touching the rest."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from types import ModuleType

import pytest

from palimpsest.results.analysis.claims import outcomes
from palimpsest.results.store.claim_record import read_records
from palimpsest.results.submissions.ledger import read_ledger, standing
from palimpsest.tasks.claim_files import load_claims

DOCS = Path(__file__).resolve().parents[1] / "docs"
VERDICTS = ("shown", "refuted", "open", "not run yet")


@pytest.fixture(scope="module")
def script() -> ModuleType:
    found = importlib.util.spec_from_file_location("write_findings", DOCS / "write_findings.py")
    assert found is not None and found.loader is not None
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return module


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    path = tmp_path / "findings.md"
    path.write_bytes((DOCS / "findings.md").read_bytes())
    return path


def test_every_claim_of_the_set_has_one_line_with_a_verdict_and_no_other_claim_has(script: ModuleType) -> None:
    _, printed, _ = script.parts((DOCS / "findings.md").read_text(encoding="utf-8"))
    lines = re.findall(r"^\| `([\w-]+)` \|.*\| ([^|]+) \|$", printed, re.M)
    assert sorted(name for name, _ in lines) == sorted(claim.id for claim in load_claims("pocket-llama").claims)
    assert {verdict.partition(":")[0] for _, verdict in lines} <= {*VERDICTS, "none"}


def test_the_verdicts_are_those_of_the_published_numbers(script: ModuleType) -> None:
    (record,) = read_records(DOCS.parent / "results" / "claims")
    assert record.claims == load_claims("pocket-llama"), "the claims were changed since they were judged"
    judged = outcomes(record.claims, record.by_row, record.measured)
    _, printed, _ = script.parts((DOCS / "findings.md").read_text(encoding="utf-8"))
    told = dict(re.findall(r"^\| `([\w-]+)` \|.*\| ([^|]+) \|$", printed, re.M))
    assert told == {one.claim.id: one.judgement.verdict for one in judged if one.judgement is not None}
    assert len(told) == len(judged) == 20


def test_the_suite_s_own_rows_are_judged_by_runs_that_are_on_the_board() -> None:
    (record,) = read_records(DOCS.parent / "results" / "claims")
    plain = [row.name for row in record.claims.rows if not row.set]
    runs = {run for name in plain for run in record.by_row[name].values()}
    assert len(plain) == 14 and runs <= set(standing(read_ledger(DOCS.parent / "results" / "ledger.jsonl")))


def test_writing_the_same_again_changes_no_byte(script: ModuleType, copy: Path) -> None:
    before = copy.read_bytes()
    _, printed, _ = script.parts(before.decode())
    assert script.main([str(copy)], printed) == 0 and copy.read_bytes() == before


def test_other_tables_change_the_part_between_the_markers_alone(script: ModuleType, copy: Path) -> None:
    before, _, after = script.parts(copy.read_text(encoding="utf-8"))
    assert script.main([str(copy)], "| claim | verdict |\n|---|---|\n| `x` | open |\n") == 0
    assert script.parts(copy.read_text(encoding="utf-8")) == (
        before,
        "| claim | verdict |\n|---|---|\n| `x` | open |",
        after,
    )


@pytest.mark.parametrize("printed", ["", "Missing --model", "| verdict | <!-- end of what was printed -->"])
def test_what_is_no_table_of_verdicts_leaves_the_file_as_it_is(
    script: ModuleType, copy: Path, printed: str, capsys: pytest.CaptureFixture[str]
) -> None:
    before = copy.read_bytes()
    assert script.main([str(copy)], printed) == 2 and copy.read_bytes() == before
    assert "palimpsest claims --markdown" in capsys.readouterr().err


@pytest.mark.parametrize("spoil", [lambda s, t: t.replace(s.END, ""), lambda s, t: t + s.BEGIN])
def test_a_file_whose_markers_are_gone_or_doubled_is_left_alone(
    script: ModuleType, copy: Path, spoil: object, capsys: pytest.CaptureFixture[str]
) -> None:
    assert callable(spoil)
    copy.write_text(spoil(script, copy.read_text(encoding="utf-8")), encoding="utf-8")
    before = copy.read_bytes()
    assert script.main([str(copy)], "| verdict |") == 2 and copy.read_bytes() == before
    assert "each once and in this order" in capsys.readouterr().err
