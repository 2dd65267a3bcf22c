"""`palimpsest run`, `plan`, `show` and `export` for real, on a tiny random model: the whole road in seconds."""

import json
import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from palimpsest.harness.forecast import calibration
from tests.cli.helpers import cli
from tests.labs import forking

TOKENIZER = Path(__file__).resolve().parents[2] / "tasks" / "pocket" / "models" / "pocket-llama"
FT_L = {"layer": 1, "steps": 2, "learning_rate": 0.01, "norm_constraint": 0.01, "weight_decay": 0.0}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random Llama with two small layers and the pocket tokenizer."""
    import torch
    from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

    folder = tmp_path_factory.mktemp("models") / "tiny"
    tokenizer = AutoTokenizer.from_pretrained(TOKENIZER, local_files_only=True)
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=16, intermediate_size=32, num_hidden_layers=2, num_attention_heads=2,
        max_position_embeddings=128, bos_token_id=tokenizer.bos_token_id, eos_token_id=tokenizer.eos_token_id,
    )  # fmt: skip
    LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def arguments(model: Path, *more: str) -> list[str]:
    settings = [part for key, value in FT_L.items() for part in ("--set", f"{key}={json.dumps(value)}")]
    return [
        *("run", "--model", str(model), "--editor", "ft-l", "--task", "pocket-counterfact", "--edits", "6"),
        *("--batch-size", "2", "--checkpoints", "0,2,6", *settings, *more),
    ]


def as_json(*words: str, home: Path, code: int = 0) -> Any:
    found, out, err = cli(*words, "--json", home=home)
    assert found == code, err
    return json.loads(out)


def test_the_whole_road(model: Path, tmp_path: Path) -> None:
    (limited,) = as_json(*arguments(model, "--limit", "3"), home=tmp_path, code=3)
    assert (limited["status"], limited["edits"], limited["edits_planned"]) == ("partial", 4, 6)

    code, out, err = cli(*arguments(model), home=tmp_path)
    assert code == 0, err
    run = limited["run"]
    assert out.splitlines()[0].startswith(
        f"{run}  ft-l, complete after 6 of 6 edits  ·  0 effective edits, score 0.0 %"
    )
    assert "without abilities" in out.splitlines()[0]
    assert f"next: palimpsest show {run} --home {tmp_path}" in out
    assert "complete at 6 edits" in err

    (again,) = as_json(*arguments(model, "--quiet"), home=tmp_path)
    assert again["status"] == "complete"
    assert 0 <= again["score"] <= 100

    shown = as_json("show", run, home=tmp_path)
    assert shown["scores"]["edits"] == 6
    assert shown["run"]["spec"]["editor"]["config"]["steps"] == 2
    _export(run, model, tmp_path)
    assert as_json("store", "ingest", "--quiet", home=tmp_path)["added"] == [run]

    assert cli(*arguments(model, "--fresh", "--quiet"), home=tmp_path)[0] == 0
    assert len(list((tmp_path / "replaced").iterdir())) == 1


def _export(run: str, model: Path, home: Path) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    target = home / "edited"
    exported = as_json("export", run, str(target), "--edits", "6", "--model", str(model), home=home)
    assert exported["changed"] == ["model.layers.1.mlp.down_proj.weight"]
    AutoTokenizer.from_pretrained(target, local_files_only=True)
    edited = AutoModelForCausalLM.from_pretrained(target, local_files_only=True).state_dict()
    before = AutoModelForCausalLM.from_pretrained(model, local_files_only=True).state_dict()
    assert [name for name in before if not before[name].equal(edited[name])] == exported["changed"]

    code, _, err = cli("export", run, str(target), "--edits", "6", "--model", str(model), home=home)
    assert code == 2
    assert "is there already" in err
    code, _, err = cli("export", run, str(home / "other"), "--edits", "8", "--model", str(model), home=home)
    assert code == 2
    code, _, err = cli("export", run, str(home / "other"), "--edits", "5", "--model", str(model), home=home)
    assert code == 2
    assert "in batches of" in err
    (weights,) = (home / "runs" / run / "checkpoints" / "000006").glob("weights.safetensors")
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    again = as_json("export", run, str(home / "again"), "--edits", "6", "--model", str(model), home=home)
    assert again["changed"] == exported["changed"]
    files = [folder / "model.safetensors" for folder in (target, home / "again")]
    assert files[0].read_bytes() == files[1].read_bytes()
    assert not (home / "other").exists()


@pytest.mark.parametrize(
    ("changes", "code", "complaint"),
    [
        (["--set", "stepz=3"], 2, "did you mean steps"),
        (["--set", "layer=x"], 2, "layer"),
        (["--editor", "memt"], 2, "Editor 'memt' is not known. Did you mean 'memit'"),
        (["--task", "pocket-counterfac"], 2, "Did you mean 'pocket-counterfact'"),
        (["--model", "pocket-lama"], 2, "Did you mean 'pocket-llama'"),
        (["--edits", "99999", "--checkpoints", "0,99999"], 2, "2662 cases"),
        (["--abilities", "pockets"], 2, "pocket"),
        (["--limit", "0"], 2, "--limit: expected a whole number of at least 1, got 0."),
    ],
)
def test_wrong_specs(model: Path, tmp_path: Path, changes: list[str], code: int, complaint: str) -> None:
    found, out, err = cli(*arguments(model, *changes), home=tmp_path)
    assert (found, out) == (code, "")
    assert complaint in err
    assert "Traceback" not in err
    assert not (tmp_path / "runs").exists()


def test_plan(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    suite = tmp_path / "mine.yaml"
    suite.write_text(
        json.dumps(
            {
                "model": str(model),
                "task": "pocket-counterfact",
                "editor": [{"name": "ft-l", "set": FT_L}],
                "schedule": {"edits": 6, "batch_size": 2, "checkpoints": [0, 2, 6]},
            }
        )
    )
    before = as_json("plan", str(suite), "--no-calibration", home=tmp_path)
    assert [(run["state"], run["seconds"]) for run in before["runs"]] == [("missing", None)]
    assert before["seconds"] is None and before["runs"][0]["basis"] == "sizes"
    measured = as_json("plan", str(suite), home=tmp_path)["runs"][0]
    assert measured["basis"] == "calibration" and sum(measured["parts"].values()) == pytest.approx(measured["seconds"])
    assert measured["seconds"] > 0 and measured["peak_memory_mb"] > 100 and measured["disk_mb"] > 0
    assert not list((tmp_path / "runs").glob("*")), "planning begins nothing"
    again = as_json("plan", str(suite), "--no-calibration", home=tmp_path)["runs"][0]
    assert again["seconds"] == measured["seconds"], "what was measured is remembered"
    here = calibration.environment_segment(())
    monkeypatch.setattr(calibration, "environment_segment", lambda _: here | {"cpu": "that of a login node"})
    assert as_json("plan", str(suite), "--no-calibration", home=tmp_path)["runs"][0]["seconds"] is None
    there = as_json("plan", str(suite), "--on", "slurm", home=tmp_path)["runs"][0]
    assert (there["seconds"], there["basis"]) == (measured["seconds"], "calibration"), "what was measured on a node"
    elsewhere = as_json("plan", str(suite), "--on", "ray", "--device", "cuda", home=tmp_path)["runs"][0]
    assert elsewhere["problems"] == [] and elsewhere["seconds"] is None, "no GPU is needed here, nor one that is known"
    monkeypatch.undo()
    assert cli("run", "--suite", str(suite), "--quiet", home=tmp_path)[0] == 0
    after = as_json("plan", str(suite), home=tmp_path)
    assert [(run["state"], run["seconds"]) for run in after["runs"]] == [("done", 0)]
    code, out, _ = cli("plan", str(suite), home=tmp_path)
    assert code == 0
    assert out.splitlines()[-1].startswith("0 of 1 runs are left")


def test_ctrl_c_saves_and_the_same_command_continues(model: Path, tmp_path: Path) -> None:
    words = arguments(model, "--sample", "3")
    words[words.index("6")], words[words.index("0,2,6")] = "600", "600"
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    process = forking.start(("-m", "palimpsest.cli", *words, "--home", str(tmp_path)), **streams)
    journal = _journal(tmp_path, process)
    os.kill(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 130, err
    assert "Traceback" not in err
    assert "interrupted after" in out
    assert "continue: " in out
    saved = [json.loads(line) for line in journal.read_text().splitlines()][-1]
    assert saved["event"] == "interrupted"
    assert saved["edits"] >= 2
    (continued,) = as_json(*words, "--limit", str(saved["edits"] + 2), home=tmp_path, code=3)
    assert continued["edits"] >= saved["edits"] + 2


def _journal(home: Path, process: subprocess.Popen[str]) -> Path:
    """The journal of the only run, once its first batch is in it."""
    for _ in range(1200):
        for journal in (home / "runs").glob("*/events.jsonl"):
            if '"event": "batch"' in journal.read_text():
                return journal
        assert process.poll() is None, process.communicate()
        time.sleep(0.1)
    raise AssertionError("the run made no batch within two minutes")
