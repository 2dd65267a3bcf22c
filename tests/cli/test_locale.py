"""A locale that knows ASCII alone: every verb takes paths, data and subjects in other letters, and says them again."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from palimpsest.cli.app import VERBS, main

SUBJECTS = ("Zoë Müller", "東京", "Łódź", "Noël Ørsted")
ASCII_ONLY = {"LC_ALL": "C", "LANG": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "OMP_NUM_THREADS": "1"}
ALL_VERBS = """
import pathlib, sys
from palimpsest.cli import app
app._in_utf8()
for line in open("commands", encoding="utf-8").read().splitlines():
    run = "".join(path.name for path in pathlib.Path(".palimpsest/runs").glob("*"))
    words = line.replace("RUN", run).split("|")
    sys.argv = ["palimpsest", *words]
    print("code", app.main(words), *words[:2], flush=True)
"""


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder with data, both named and written in many letters."""
    place = tmp_path / "Zoë's ホーム"
    place.mkdir()
    records = [
        {
            "case_id": number,
            "requested_rewrite": {
                "prompt": "{} naît à",
                "subject": subject,
                "target_new": {"str": "Zürich"},
                "target_true": {"str": "北京"},
            },
            "paraphrase_prompts": [f"Où? {subject} naît à"],
            "neighborhood_prompts": ["Ärzte naît à"],
            "generation_prompts": [f"{subject} é"],
        }
        for number, subject in enumerate(SUBJECTS)
    ]
    (place / "données.json").write_text(json.dumps(records, ensure_ascii=False), encoding="utf-8")
    return place


def in_ascii(*words: str, folder: Path) -> subprocess.CompletedProcess[bytes]:
    """Python in ``folder``, in a locale that knows no letter of its path."""
    variables = {n: v for n, v in os.environ.items() if not n.startswith(("LC_", "PYTHONIOENCODING"))} | ASCII_ONLY
    return subprocess.run(
        [sys.executable, "-P", *words], env=variables, cwd=folder, capture_output=True, timeout=600, check=False
    )


def test_every_verb_knows_all_letters_where_the_locale_knows_only_ascii(place: Path) -> None:
    small = "--model|pocket-gpt2|--edits|4|--abilities|none|--quiet"
    commands = {
        f"run|--editor|ft-l|--task|counterfact|--data|{place}/données.json|{small}": 0,
        "list|runs": 0,
        "plan|smoke|--no-calibration": 0,
        "show|RUN": 0,
        "export|RUN|--edits|4|expört": 0,
        "submit|RUN|--out|einreichungen|--note|für Zoë": 1,  # the name of the task's file is of no plain letters
        "verify|einreichungen/RUN": 1,
        "ledger|include|einreichungen/RUN|--reason|prüfung": 2,
        "store|ingest": 0,
        "store|query|SELECT subject FROM cases": 0,
        "site|build": 0,
        "doctor": 0,
        "new-editor|my-own-editor|--into|.": 0,
        "stats|pocket-gpt2|--layers|0|--tokens|500|--quiet": 0,
        "probe-spectrum|pocket-gpt2|--layers|0|--percent|50|--ability-limit|2|--quiet": 0,
        "locate|pocket-gpt2|--facts|1|--draws|1|--targets|1|--blocks|1|--quiet": 0,
        "pocket|files|wörld": 0,
        "check|mémit": 2,
        "tune|ft|--task|nicht-dä.json": 2,
        "nightly|--suite|nicht-dä.yaml": 2,
        "models|get|nicht-dä": 2,
        "tasks|check|données.json": 0,
        "table|--format|markdown|--out|brett-für-zoë.md": 0,
        "figure|--format|svg|--out|bilder-für-zoë": 0,
        "presets|import|größen.yaml": 2,
        "score|nicht-dä|--base|pocket-gpt2|--task|pocket-counterfact": 4,
        "claims|--only-verdicts": 0,
        "fleet|log|RUN": 0,
        "depot|list|--depot|aufbewahrt-für-zoë": 2,
    }
    assert {command.partition("|")[0] for command in commands} == set(VERBS)
    (place / "commands").write_text("\n".join(commands), encoding="utf-8")
    (place / "all.py").write_text(ALL_VERBS, encoding="utf-8")
    done = in_ascii("all.py", folder=place)
    told = done.stdout.decode()
    codes = [int(line.split()[1]) for line in told.splitlines() if line.startswith("code ")]
    assert dict(zip(commands, codes, strict=True)) == commands, told + done.stderr.decode()
    assert "Traceback" not in told + done.stderr.decode()
    assert all(subject in told for subject in SUBJECTS)
    assert "'mémit'" in done.stderr.decode() and "nicht-dä.yaml" in done.stderr.decode()
    page = next((place / ".palimpsest" / "site" / "run").rglob("*.html")).read_text(encoding="utf-8")
    assert "données.json" in page


def test_the_command_itself_begins_anew_in_utf8(place: Path) -> None:
    done = in_ascii("-m", "palimpsest.cli", "show", "ホーム", "--home", str(place / "Łódź"), folder=place)
    assert done.returncode == 2
    assert "Łódź/runs" in done.stderr.decode()


def test_a_path_that_is_no_text_is_refused_in_words(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    home = os.fsdecode(os.fsencode(tmp_path) + b"/h\xff")
    assert main(["run", "--suite", "smoke", "--home", home]) == 2
    assert "\\udcff' is no text in UTF-8. Rename" in capsys.readouterr().err
    assert not Path(home).exists()
