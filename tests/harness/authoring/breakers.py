"""An honest editor, and eighteen that each break one promise; installed as a plugin by `conftest`."""

from __future__ import annotations

import gc
import os
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor

from palimpsest.editors.toolkit.linalg import System
from palimpsest.editors.toolkit.pipeline import LocateThenEdit, LocateThenEditConfig
from palimpsest.harness.editor import EditReport
from palimpsest.harness.model.editable import EditableModel
from palimpsest.harness.specs.cases import EditRequest


class Honest(LocateThenEdit):
    """Ridge regression that remembers its keys: Δ = R Kᵀ (ρ I + Σ K' K'ᵀ + K Kᵀ)⁻¹."""

    class Config(LocateThenEditConfig):
        """Enough for both pocket models."""

        layers: tuple[int, ...] = (0,)
        """Blocks whose down-projection is written."""
        target_learning_rate: float = 0.5
        """Learning rate of the target optimisation."""
        target_steps: int = 12
        """Forward passes of the target optimisation."""
        target_weight_decay: float = 0.0
        """Weight of the decay term."""
        clamp_norm_factor: float = 3.0
        """‖δ‖ is held below this multiple of ‖h_0‖."""
        ridge: float = 0.1
        """ρ."""

    config: Config
    remembers = True

    def start(self, layer: int) -> System:
        size = self.model.anatomy.d_inner
        return System(self.config.ridge * torch.eye(size, dtype=torch.float64), size)

    def solve(self, keys: Tensor, layer: int) -> Tensor:
        return self.systems[layer].solve(keys)

    def remember(self, keys: Tensor, layer: int) -> None:
        self.systems[layer].remember(keys)

    def bump(self, amount: float) -> None:
        """Add to the written weight."""
        name = self.model.anatomy.weight_name(0)
        self.model.write_weights({name: self.model.read_weights([name])[name] + amount})


class Lenient(Honest):
    class Config(Honest.Config):
        model_config = {**Honest.Config.model_config, "extra": "allow"}


class OneAnatomy(Honest):
    def prepare(self, model: EditableModel) -> None:
        if "llama" in model.name:
            raise NotImplementedError("gated MLPs are for next year")
        super().prepare(model)


class Backwards(Honest):
    def solve(self, keys: Tensor, layer: int) -> Tensor:
        return -super().solve(keys, layer)


class Trespasser(Honest):
    def edit(self, batch: Sequence[EditRequest]) -> EditReport:
        with torch.no_grad():
            self.model.model.get_input_embeddings().weight[5] += 1e-3
        return super().edit(batch)


class Idle(Honest):
    def edit(self, batch: Sequence[EditRequest]) -> EditReport:
        return EditReport()


class Dice(Honest):
    def edit(self, batch: Sequence[EditRequest]) -> EditReport:
        report = super().edit(batch)
        self.bump(int.from_bytes(os.urandom(2)) * 1e-8 + 1e-8)
        return report


class Entangled(Honest):
    edited: ClassVar[int] = 0

    def prepare(self, model: EditableModel) -> None:
        super().prepare(model)
        type(self).edited = 0

    def edit(self, batch: Sequence[EditRequest]) -> EditReport:
        type(self).edited += 1
        report = super().edit(batch)
        self.bump(1e-5 * self.edited)
        return report


class Forgetful(Honest):
    def state_dict(self) -> dict[str, Tensor]:
        return {}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        if state:
            raise ValueError("the forgetful editor keeps no state")


class AfraidOfRestarts(Honest):
    """Notices in `prepare` that a run was there before; only runs through the command line have such a folder."""

    def prepare(self, model: EditableModel) -> None:
        super().prepare(model)
        runs, mark = Path("runs"), Path("mark-of-the-editor")
        self.again = runs.is_dir() and mark.exists()
        if runs.is_dir():
            mark.touch()

    def edit(self, batch: Sequence[EditRequest]) -> EditReport:
        report = super().edit(batch)
        if self.again:
            self.bump(1e-4)
        return report


class Secretive(Honest):
    def state_dict(self) -> dict[str, Tensor]:
        state: dict[str, Any] = super().state_dict() | {"count": 3}
        return state


class LeavesTheDoorOpen(Honest):
    @contextmanager
    def evaluated(self) -> Iterator[None]:
        before = self.model.read_weights(self.writes())
        self.bump(0.5)
        yield
        self.model.write_weights(before)


class ChangesTheWorld(Honest):
    def edit(self, batch: Sequence[EditRequest]) -> EditReport:
        os.environ["EDITED"] = str(len(batch))
        return super().edit(batch)


class NoEmptyBatches(Honest):
    def edit(self, batch: Sequence[EditRequest]) -> EditReport:
        report = super().edit(batch)
        report.values["share"] = 1 / len(batch)
        return report


class HalfDone(Honest):
    def edit(self, batch: Sequence[EditRequest]) -> EditReport:
        report = super().edit(batch)
        self.model.model(input_ids=torch.tensor([[1, 2, 3]]))  # a look at what was written, which may fail
        return report


class FirstComeFirstServed(Honest):
    def edit(self, batch: Sequence[EditRequest]) -> EditReport:
        return super().edit(batch[:1])


class Hoarder(Honest):
    attic: ClassVar[list[Tensor]] = []

    def edit(self, batch: Sequence[EditRequest]) -> EditReport:
        self.attic.append(torch.zeros(500_000))
        return super().edit(batch)


class Peeping(Honest):
    def edit(self, batch: Sequence[EditRequest]) -> EditReport:
        from palimpsest.tasks.registry import load_task

        self.known = load_task("pocket-counterfact").cases
        return super().edit(batch)


class Walking(Honest):
    """Looks for probes among all objects of the process."""

    def edit(self, batch: Sequence[EditRequest]) -> EditReport:
        self.known = [found for found in gc.get_objects() if type(found).__name__ == "Probe"]
        return super().edit(batch)


class Reading(Honest):
    """Got hold of the task, by whatever way, before it began, and reads the probes while it works."""

    def prepare(self, model: EditableModel) -> None:
        import sys

        frame = sys._getframe()
        while frame is not None and "present" not in frame.f_locals:
            frame = frame.f_back  # type: ignore[assignment]
        self.task = frame.f_locals["present"] if frame is not None else None
        super().prepare(model)

    def edit(self, batch: Sequence[EditRequest]) -> EditReport:
        self.known = [] if self.task is None else [case.probes for case in self.task.cases[:3]]
        return super().edit(batch)


class WritesNothing(Honest):
    """Beside the eighteen: a memory-based editor, which answers through a hook and keeps its table as state."""

    def prepare(self, model: EditableModel) -> None:
        self.model = model
        self.memory: dict[int, Tensor] = {}
        head = model.model.get_output_embeddings()
        head.register_forward_hook(self._answer)
        self.ids: Tensor | None = None
        model.model.get_input_embeddings().register_forward_pre_hook(self._see)

    def _see(self, _: Any, inputs: tuple[Tensor, ...]) -> None:
        self.ids = inputs[0]

    def _answer(self, _: Any, __: Any, logits: Tensor) -> Tensor:
        if self.ids is None or logits.shape[:2] != self.ids.shape:
            return logits
        logits = logits.clone()
        for row, sentence in enumerate(self.ids.tolist()):
            for column in range(len(sentence)):
                bias = self.memory.get(_mark(sentence[: column + 1]))
                if bias is not None:
                    logits[row, column] += bias
        return logits

    def edit(self, batch: Sequence[EditRequest]) -> EditReport:
        words = self.model.tokenizer
        learned = {}
        for request in batch:
            ids = words(request.prompt.replace("{}", request.subject))["input_ids"]
            for token in words(" " + request.target_new, add_special_tokens=False)["input_ids"]:
                bias = torch.zeros(self.model.model.get_output_embeddings().weight.shape[0])
                bias[token] = 20.0
                learned[_mark(ids)] = bias
                ids = [*ids, token]
        self.model.model(input_ids=torch.tensor([[1, 2, 3]]))
        self.memory |= learned
        return EditReport(counters={"entries": len(self.memory)})

    def writes(self) -> Collection[str]:
        return []

    def state_dict(self) -> dict[str, Tensor]:
        return {str(key): bias for key, bias in self.memory.items()}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        if not all(name.isdecimal() for name in state):
            raise ValueError(f"entries of the table have numbers, got {sorted(state)}")
        self.memory = {int(name): bias for name, bias in state.items()}


def _mark(ids: list[int]) -> int:
    mark = 0
    for token in ids:
        mark = (mark * 1_000_003 + token + 1) % (1 << 61)
    return mark


def burn(seconds: float) -> None:
    """Take this much of the processor's time."""
    begin = time.process_time()
    while time.process_time() - begin < seconds:
        pass
