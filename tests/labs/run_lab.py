"""A tiny model, task and editors for tests of the run engine, all seeded."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from torch import Tensor
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from palimpsest.harness.abilities.ability_harness import ItemOutcome
from palimpsest.harness.abilities.items import AbilityOutcome
from palimpsest.harness.editor import Editor, EditorConfig, EditReport
from palimpsest.harness.model.editable import EditableModel
from palimpsest.harness.runs.journal import SilentProgress
from palimpsest.harness.runs.run import Run, RunInputs, RunOutcome, RunSettings
from palimpsest.harness.runs.score_files import Instruments
from palimpsest.harness.scoring.probes import score_cases
from palimpsest.harness.specs.cases import Case, EditRequest, Probe
from palimpsest.harness.specs.run_spec import AbilityRef, EditorRef, ModelRef, RunSpec, Schedule, Scoring, TaskRef
from palimpsest.harness.statistics.resources import with_statistics

WORDS = [f"w{i}" for i in range(60)]
LAYERS = (0, 1)
SHORT: dict[str, Any] = {"edits": 4, "checkpoints": (0, 2, 4)}
"""Schedule of the runs that most tests do."""


def tiny_model(seed: int = 0) -> EditableModel:
    torch.manual_seed(seed)
    vocabulary = {word: i for i, word in enumerate(["<pad>", "<unk>", *WORDS])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    config = LlamaConfig(
        vocab_size=len(vocabulary),
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=3,
        num_attention_heads=2,
        num_key_value_heads=2,
        max_position_embeddings=64,
        pad_token_id=0,
        bos_token_id=None,
        eos_token_id=None,
    )
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", unk_token="<unk>", padding_side="right"
    )
    model = EditableModel(LlamaForCausalLM(config), fast, name="tiny", fingerprint="f" * 64)
    with_statistics(model)
    return model


def cases(count: int = 8) -> list[Case]:
    result = []
    for i in range(count):
        subject, new, true = WORDS[i], WORDS[20 + i], WORDS[30 + i]
        request = EditRequest(100 + i, "{} w50 w51", subject, new, true)
        probes = (
            Probe("rewrite", 0, f"{subject} w50 w51", new, true),
            Probe("paraphrase", 0, f"w52 {subject} w53", new, true),
            Probe("neighborhood", 0, f"w4{i % 10} w50 w51", new, true),
            Probe("attribute", 0, f"w1{i % 10} w50 w51", new, true),
            *(Probe("generation", n, f"{subject} w5{n}", "", "") for n in range(2)),
        )
        result.append(Case(request, probes))
    return result


class NudgeConfig(EditorConfig):
    rate: float = 0.05
    """Size of a nudge."""
    fail_at: int | None = None
    """Case id at which to raise."""
    nan_at: int | None = None
    """Case id at which to write NaN."""
    trespass_at: int | None = None
    """Case id at which to write where it may not."""
    sleep: float = 0.0
    """Seconds per batch."""


class Nudge(Editor):
    """Random outer products with a momentum that is its state: every bit depends on seed, order and state."""

    Config = NudgeConfig
    config: NudgeConfig

    def prepare(self, model: EditableModel) -> None:
        self.model = model
        self.momentum = {layer: torch.randn(model.weight(layer).shape) * 0.01 for layer in LAYERS}
        self.count = torch.zeros((), dtype=torch.int64)

    def writes(self) -> Collection[str]:
        return [self.model.anatomy.weight_name(layer) for layer in LAYERS]

    def edit(self, batch: Sequence[EditRequest]) -> EditReport:
        import time

        assert not torch.is_grad_enabled()
        time.sleep(self.config.sleep)
        for request in batch:
            if request.case_id == self.config.fail_at:
                raise KeyError("no such thing")
            if request.case_id == self.config.trespass_at:
                self.model.model.get_parameter("model.norm.weight")[3] += 1.0
            digest = int(hashlib.sha256(repr(request).encode()).hexdigest()[:8], 16)
            for layer in LAYERS:
                weight = self.model.weight(layer)
                noise = torch.randn(weight.shape[0], 1) @ torch.randn(1, weight.shape[1])
                self.momentum[layer] = 0.9 * self.momentum[layer] + self.config.rate * noise * (digest % 7 + 1) / 7
                delta = self.momentum[layer] * 0.1
                self.model.add_update(layer, delta * float("nan") if request.case_id == self.config.nan_at else delta)
            self.count += 1
        return EditReport({"edit": 0.0}, {"edits": len(batch)}, {"norm": float(self.momentum[0].norm())})

    def state_dict(self) -> dict[str, Tensor]:
        return {"count": self.count, **{f"momentum.{layer}": m for layer, m in self.momentum.items()}}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        self.count = state["count"]
        self.momentum = {layer: state[f"momentum.{layer}"] for layer in LAYERS}


def tiny_instruments(model: EditableModel, scored: list[int] | None = None) -> Instruments:
    """Instruments with one made-up ability task.

    Args:
        model: What is asked.
        scored: Receives the number of cases of each scoring.
    """

    def score(model: Any, cases: Sequence[Case], **other: Any) -> Any:
        if scored is not None:
            scored.append(len(cases))
        return score_cases(model, cases, **other)

    def abilities(edits: int, cases: Sequence[Case]) -> Any:
        with torch.no_grad():
            logits = model.model(input_ids=torch.arange(2, 42).reshape(8, 5)).logits[:, -1]
        right = (logits.argmax(-1) % 2 == 0).tolist()
        return [
            AbilityOutcome("tiny", "acc", sum(right) / 8, 0.5, tuple(ItemOutcome(i, r) for i, r in enumerate(right)))
        ]

    return Instruments(model, abilities, score)


def spec(config: Mapping[str, Any] | None = None, **changes: Any) -> RunSpec:
    schedule = {"edits": 8, "batch_size": 1, "checkpoints": (0, 2, 4, 8)} | changes
    return RunSpec(
        model=ModelRef(name="tiny", fingerprint="f" * 64),
        editor=EditorRef(name="nudge", config=dict(config or {}), distribution="palimpsest-bench", version="0.1.0"),
        task=TaskRef(name="tiny", form="counterfact", content_hash="a" * 64),
        schedule=Schedule(**schedule),
        scoring=Scoring(),
        abilities=(AbilityRef(name="tiny", content_hash="b" * 64),),
        seed=3,
    )


def run(
    home: Path,
    run_spec: RunSpec,
    model: EditableModel | None = None,
    *,
    messages: list[str] | None = None,
    **other: Any,
) -> RunOutcome:
    """Do the run in this process. ``other``: arguments of `Run`, fields of `RunSettings`, fields of `RunInputs`."""
    model = model or tiny_model()
    inputs = RunInputs(
        model=model,
        make_editor=other.pop("make_editor", None) or (lambda: Nudge(NudgeConfig(**run_spec.editor.config))),
        instruments=other.pop("instruments", None) or tiny_instruments(model),
        pristine_scores=other.pop("pristine_scores", None),
        damaged=other.pop("damaged", []),
        provenance=other.pop("provenance", {}),
    )
    interrupts = other.pop("interrupts", None)
    return Run(
        run_spec,
        cases(run_spec.schedule.edits),
        home,
        inputs=lambda: inputs,
        progress=other.pop("progress", None) or SilentProgress((messages if messages is not None else []).append),
        settings=RunSettings(**other),
        interrupts=interrupts,
    ).execute()


def results(folder: Path) -> dict[str, str]:
    """Digest of everything that must not depend on how often a run was interrupted."""
    files = [*folder.glob("scores/??????/*.parquet"), *folder.glob("*.parquet"), folder / "spec.json"]
    files += [*folder.glob("result.json"), *folder.glob("checkpoints/??????/*.safetensors")]
    return {str(f.relative_to(folder)): hashlib.sha256(f.read_bytes()).hexdigest() for f in sorted(files)}


def copied(whole: Path, home: Path) -> Path:
    """A copy of a finished run in another home."""
    return Path(shutil.copytree(whole, home / "runs" / whole.name))


def flip(path: Path, place: int) -> None:
    """Change one byte of a file."""
    data = bytearray(path.read_bytes())
    data[place % len(data)] ^= 0x15
    path.write_bytes(data)
