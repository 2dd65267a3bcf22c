"""The contract that every editor fulfils, built-in or third-party, and the types that it is about."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import ConfigDict

from palimpsest.harness.specs.cases import EditRequest
from palimpsest.harness.system.strict import SilentDefaults

if TYPE_CHECKING:
    from torch import Tensor

    from palimpsest.harness.model.editable import EditableModel

__all__ = ["EditReport", "EditRequest", "EditableModel", "Editor", "EditorConfig", "LayerUpdate"]


def __getattr__(name: str) -> Any:
    """Hand on `EditableModel`; on first use, since torch and transformers come with it."""
    if name == "EditableModel":
        from palimpsest.harness.model.editable import EditableModel

        return EditableModel
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


class EditorConfig(SilentDefaults):
    """Base of every editor's configuration: immutable, unknown keys refused, each field documented below it."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


@dataclass(slots=True)
class LayerUpdate:
    """Update of one layer's down-projection by one batch, as factors where there are any: Δ = R Aᵀ."""

    layer: int
    """Block of the down-projection."""
    influence: Tensor | None = None
    """R: d_out × n, after all filters; None if the update has no such form."""
    activation: Tensor | None = None
    """A: d_in × n, after all filters; None if the update has no such form."""
    keys: Tensor | None = None
    """The keys that the update was solved for: d_in × n."""
    delta: Tensor | None = None
    """The update itself, d_out × d_in, given where the factors cannot be."""


@dataclass(slots=True)
class EditReport:
    """Report on one batch. All of it is stored with the run, except `updates`."""

    seconds: dict[str, float] = field(default_factory=dict)
    """Wall seconds per phase, e.g. ``targets``, ``keys``, ``solve``."""
    counters: dict[str, int] = field(default_factory=dict)
    """Whole numbers worth counting: skipped edits, early stops, clamped targets, refactorisations."""
    values: dict[str, float] = field(default_factory=dict)
    """Means over the batch: target loss first and last, norms of residual and update."""
    updates: list[LayerUpdate] = field(default_factory=list)
    """Updates in the order of writing; for diagnostics, never stored, and only if `Editor.record_updates`."""


class Editor(ABC):
    """Writes batches of facts into a model, in place.

    The harness promises: batches come in schedule order, each request once; the global random generators are seeded
    from (run seed, batch index) before `edit`; gradients are off outside what the editor turns on.
    The editor promises: only `writes()` changes; no global state; state is tensors; nothing is read ahead; `edit` is
    all or nothing: when it raises, the model is as before.
    """

    Config: ClassVar[type[EditorConfig]]
    default_host: ClassVar[str | None] = None
    """The editor that a filter stands around when none is named; None: this editor takes no host."""
    writes_weights: ClassVar[bool] = True
    """False for an editor whose `writes` is always empty: engines that take weights are refused before a run begins."""
    record_updates: bool = False
    """True if the report of a batch shall hold its updates; set by the run, and without effect on what is written."""

    def __init__(self, config: EditorConfig) -> None:
        self.config = config

    @abstractmethod
    def prepare(self, model: EditableModel) -> None:
        """Make ready on the pristine model; called once, before the first edit and before any state is loaded."""

    @abstractmethod
    def edit(self, batch: Sequence[EditRequest]) -> EditReport:
        """Write ``batch``, which may be empty, into the model given to `prepare`; all, or raise and none."""

    @abstractmethod
    def writes(self) -> Collection[str]:
        """Names of the parameters that `edit` may change; valid after `prepare`. Empty for memory-based editors."""

    @property
    def bottom(self) -> Editor:
        """The innermost editor: this one, or the last host of a filter."""
        return self

    @contextmanager
    def evaluated(self) -> Iterator[None]:
        """The model as it is to be scored, for the time of the context; by default just as it is."""
        yield

    def state_dict(self) -> dict[str, Tensor]:
        """Tensors that, beside the written parameters, are needed to go on after the last batch, to the bit."""
        return {}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Restore `state_dict`; called after `prepare`."""
        if state:
            raise ValueError(f"{type(self).__name__} keeps no state, but got {sorted(state)}.")
