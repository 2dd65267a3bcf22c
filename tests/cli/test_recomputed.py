"""Every metric of exported models, computed again from their probes by plain code that shares nothing with ours.

One probe at a time, without batches or caches, by transformers alone: likelihoods agree within 2e-5 nats, first choices
without a flip, and all that is made of them to the last digit.
"""

from __future__ import annotations

import json
import math
from collections import defaultdict
from pathlib import Path
from statistics import fmean
from typing import Any

import duckdb
import pyarrow.parquet as pq
import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from palimpsest.harness.model.catalogue import locate, resolve
from tests.cli.helpers import cli

EDITS, CHECKPOINTS = 6, (2, 4, 6)
ITEMS = 20
ABILITIES = Path(__file__).parents[2] / "tasks" / "abilities"
STAGES = {"efficacy": "rewrite", "paraphrase": "paraphrase", "neighborhood": "neighborhood"}
Answers = list[dict[str, Any]]


def read(model: Any, tokenizer: Any, prompt: str, target: str) -> tuple[float, bool]:
    """Mean negative log-likelihood of the target's tokens, and whether each is the model's first choice."""
    asked, wanted = tokenizer(prompt)["input_ids"], tokenizer(" " + target, add_special_tokens=False)["input_ids"]
    with torch.no_grad():
        logits = model(torch.tensor([asked + wanted])).logits[0].double()
    places = range(len(asked) - 1, len(asked) + len(wanted) - 1)
    likelihoods = [
        float(torch.log_softmax(logits[place], -1)[token]) for place, token in zip(places, wanted, strict=True)
    ]
    first = all(int(logits[place].argmax()) == token for place, token in zip(places, wanted, strict=True))
    return -fmean(likelihoods), first


def answers(folder: Path, probes: list[dict[str, Any]]) -> Answers:
    """Answers of a model to some probes, in their order."""
    model = AutoModelForCausalLM.from_pretrained(folder, local_files_only=True, dtype=torch.float32).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    found = []
    for probe in probes:
        new, true = (read(model, tokenizer, probe["prompt"], probe[f"target_{side}"]) for side in ("new", "true"))
        found.append(probe | {"nll_new": new[0], "nll_true": true[0], "exact_new": new[1], "exact_true": true[1]})
    return found


def metrics(found: Answers) -> dict[str, float]:
    """All metrics of a window: means over the probes of a case, then over cases."""
    values: dict[str, dict[int, list[float]]] = defaultdict(lambda: defaultdict(list))
    for one in found:
        stage = next(stage for stage, kind in STAGES.items() if kind == one["kind"])
        wanted, other = ("true", "new") if stage == "neighborhood" else ("new", "true")
        better = one[f"nll_{wanted}"] < one[f"nll_{other}"]
        apart = math.exp(-one[f"nll_{wanted}"]) - math.exp(-one[f"nll_{other}"])
        for form, value in (
            ("preference", 100 * better),
            ("argmax", 100 * one[f"exact_{wanted}"]),
            ("magnitude", apart),
        ):
            values[f"{stage}_{form}"][one["case_id"]].append(value)
    result = {name: fmean(map(fmean, cases.values())) for name, cases in values.items()}
    for form in ("preference", "argmax"):
        parts = [result[f"{stage}_{form}"] for stage in STAGES]
        result[f"score_{form}"] = 0.0 if 0 in parts else 3 / sum(1 / part for part in parts)
    return result


def abilities(folder: Path) -> dict[str, float]:
    """Ability task → share of its first items of which a model finds the right choice the likeliest."""
    model = AutoModelForCausalLM.from_pretrained(folder, local_files_only=True, dtype=torch.float32).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    found = {}
    for path in sorted(ABILITIES.glob("pocket_*.jsonl")):
        right = []
        for line in path.read_text(encoding="utf-8").splitlines()[:ITEMS]:
            item = json.loads(line)
            lengths = [
                len(tokenizer(" " + choice, add_special_tokens=False)["input_ids"]) for choice in item["choices"]
            ]
            means = [read(model, tokenizer, item["text"], choice)[0] for choice in item["choices"]]
            totals = [mean * length for mean, length in zip(means, lengths, strict=True)]
            right.append(totals.index(min(totals)) == item["answer"])
        found[path.stem] = fmean(right)
    return found


def kept(now: dict[str, float], unedited: dict[str, float]) -> float:
    """Abilities kept, as a share, over the tasks on which the unedited model is three standard errors above chance."""
    above, before = 0.0, 0.0
    for task, pristine in unedited.items():
        first = (ABILITIES / f"{task}.jsonl").read_text(encoding="utf-8").splitlines()[0]
        chance = 1 / len(json.loads(first)["choices"])
        widest = max(pristine * (1 - pristine), chance * (1 - chance))
        if pristine - chance >= 3 * math.sqrt(widest / ITEMS):
            above += (now[task] - chance) / (1 - chance)
            before += (pristine - chance) / (1 - chance)
    return above / before


def held(now: dict[str, float], unedited: dict[str, float], able: float) -> float:
    """h, as a share."""
    near = min(1.0, now["neighborhood_argmax"] / unedited["neighborhood_argmax"])
    parts = [now["efficacy_argmax"] / 100, now["paraphrase_argmax"] / 100, near, min(1.0, able)]
    return 0.0 if min(parts) <= 0 else 4 / sum(1 / part for part in parts)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of FT-L on a pocket model, in a store, and its edited models."""
    home = tmp_path_factory.mktemp("home")
    code, out, err = cli(
        *("run", "--model", "pocket-gpt2", "--editor", "ft-l", "--task", "pocket-counterfact", "--edits", str(EDITS)),
        *("--batch-size", "2", "--checkpoints", "0,2,4,6", "--keep-all", "--json"),
        *("--abilities", "pocket", "--ability-limit", str(ITEMS)),
        home=home,
    )
    assert code == 0, err
    run = json.loads(out)[0]["run"]
    for edits in CHECKPOINTS:
        assert cli("export", run, str(home / f"edited-{edits}"), "--edits", str(edits), home=home)[0] == 0
    assert cli("store", "ingest", "--quiet", home=home)[0] == 0
    return home


def test_an_exported_model_gives_the_numbers_of_the_store(home: Path) -> None:
    (run,) = (home / "runs").iterdir()
    position = {row["case_id"]: row["position"] for row in pq.read_table(run / "cases.parquet").to_pylist()}
    probes = [row for row in pq.read_table(run / "probes.parquet").to_pylist() if row["kind"] in STAGES.values()]
    unedited = metrics(answers(locate(resolve("pocket-gpt2")), probes))
    able = abilities(locate(resolve("pocket-gpt2")))
    with duckdb.connect(str(home / "palimpsest.duckdb"), read_only=True) as store:
        stored = store.execute('SELECT edits, "window", metric, value FROM metrics').fetchall()
        (headline,) = store.execute("SELECT edits FROM headlines WHERE quantity = 'effective_edits'").fetchall()
        items = store.execute("SELECT edits, ability, score FROM ability_scores").fetchall()
    numbers = {(edits, window, metric): value for edits, window, metric, value in stored}
    scores = {(edits, ability): score for edits, ability, score in items}
    assert {task: scores[0, task] for task in able} == {task: pytest.approx(100 * one) for task, one in able.items()}
    curve = [(0.0, 0.0)]
    for edits in CHECKPOINTS:
        scored = [probe for probe in probes if position[probe["case_id"]] < edits]
        found = answers(home / f"edited-{edits}", scored)
        _agree_with_the_outcomes(found, pq.read_table(run / "scores" / f"{edits:06d}" / "probes.parquet").to_pylist())
        quarter = max(1, edits // 4)
        windows = {"all": range(edits), "first": range(quarter), "latest": range(edits - quarter, edits)}
        for window, places in windows.items():
            computed = metrics([one for one in found if position[one["case_id"]] in places])
            for metric, value in computed.items():
                assert numbers[edits, window, metric] == pytest.approx(value, abs=1e-5), (edits, window, metric)
        now = abilities(home / f"edited-{edits}")
        for task, share in now.items():
            assert scores[edits, task] == pytest.approx(100 * share, abs=1e-9), (edits, task)
        assert numbers[edits, "", "abilities_kept"] == pytest.approx(100 * kept(now, able), rel=1e-12)
        h = held(metrics(found), unedited, kept(now, able))
        assert numbers[edits, "all", "quality"] == pytest.approx(100 * h, rel=1e-12)
        curve.append((float(edits), h))
    for metric, value in unedited.items():
        assert numbers[0, "planned", metric] == pytest.approx(value, abs=1e-5), metric
    curve[0] = (0.0, curve[1][1])
    area = sum((b[0] - a[0]) * (a[1] + b[1]) / 2 for a, b in zip(curve, curve[1:], strict=False))
    assert 1 < area < EDITS and headline[0] == pytest.approx(area, rel=1e-12)


def _agree_with_the_outcomes(found: Answers, stored: Answers) -> None:
    recorded = {(row["case_id"], row["kind"], row["index"]): row for row in stored}
    assert len(recorded) == len(found)
    for one in found:
        other = recorded[one["case_id"], one["kind"], one["index"]]
        for side in ("new", "true"):
            assert other[f"nll_{side}"] == pytest.approx(one[f"nll_{side}"], abs=2e-5)
            assert other[f"exact_{side}"] == one[f"exact_{side}"], "a flip"
