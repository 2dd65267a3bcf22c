from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from palimpsest.harness.runs.instruments import scoring_sources

HARNESS = Path(__file__).resolve().parents[3] / "harness"


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    return Path(shutil.copytree(HARNESS, tmp_path / "harness", ignore=shutil.ignore_patterns("__pycache__")))


@pytest.mark.parametrize(
    "name",
    [
        *("model/tokens.py", "model/attention_cache.py", "model/editable.py", "model/models.toml"),
        *("scoring/probes.py", "abilities/vllm_engine.py", "specs/cases.py", "runs/score_files.py"),
    ],
)
def test_scores_of_the_unedited_model_are_measured_anew_when_code_that_makes_them_changes(
    copy: Path, name: str
) -> None:
    before = scoring_sources(copy)
    assert before == scoring_sources(HARNESS)
    (copy / name).write_text((copy / name).read_text(encoding="utf-8") + "\n# changed\n", encoding="utf-8")
    assert scoring_sources(copy) != before


def test_they_are_kept_when_other_code_changes(copy: Path) -> None:
    before = scoring_sources(copy)
    for name in ("authoring/report.py", "forecast/prediction.py", "diagnostics/gauge.py", "runs/run.py"):
        (copy / name).write_text("# changed\n", encoding="utf-8")
    assert scoring_sources(copy) == before
