"""An editor at work on a model: started on pristine weights, put at a saved position, watched batch by batch."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

import torch

from palimpsest.harness.editor import EditReport
from palimpsest.harness.errors import ConfigError, EditorError, MissingResource, ModelCollapsed, UsageError
from palimpsest.harness.model.digests import parameter_digests
from palimpsest.harness.plugins.guard import check_untouched, not_finite, seed_everything
from palimpsest.harness.system.trouble import trouble

if TYPE_CHECKING:
    from torch import Tensor

    from palimpsest.harness.editor import Editor
    from palimpsest.harness.model.editable import EditableModel
    from palimpsest.harness.specs.cases import EditRequest
    from palimpsest.harness.specs.run_spec import EditorRef

_NOT_THE_EDITORS_FAULT = (MissingResource, ConfigError, UsageError, ModelCollapsed, MemoryError)


class Editing:
    """One editor on one model."""

    def __init__(self, model: EditableModel, make_editor: Callable[[], Editor], ref: EditorRef, seed: int) -> None:
        """Put the model back to its pristine weights and prepare a new editor on it, which messages call by ``ref``.

        Raises:
            EditorError: The editor fails, or names parameters that the model does not have.
        """
        self.model = model
        self._name = f"Editor {ref.name} ({ref.distribution} {ref.version})"
        self._seed = seed
        restore_pristine(model)
        seed_everything(seed, -1)
        with self._blamed("while it prepares"), torch.no_grad():
            self.editor = make_editor()
            self.editor.prepare(model)
            self.written = tuple(sorted(set(self.editor.writes())))
        known = {name for name, _ in model.model.named_parameters()}
        strange = [name for name in self.written if name not in known]
        if strange:
            raise EditorError(f"{self._name}: writes() names {strange[0]!r}, which the model does not have.")
        # Written once with what they hold, so that the model keeps pristine copies whatever way the editor writes.
        model.write_weights(model.read_weights(self.written))
        self._others = parameter_digests(model.model, leaving_out=self.written)

    def load(self, weights: Mapping[str, Tensor], state: Mapping[str, Tensor]) -> None:
        """Go to a saved position.

        Raises:
            EditorError: The save does not fit this editor.
        """
        if sorted(weights) != list(self.written):
            raise EditorError(f"{self._name} writes {list(self.written)}, but the save holds {sorted(weights)}.")
        self.model.write_weights(weights)
        with self._blamed("while it loads its state"):
            self.editor.load_state_dict(state)

    def edit(self, number: int, requests: Sequence[EditRequest]) -> tuple[EditReport, float]:
        """Do one batch; its report and wall seconds. Its ``number`` in the schedule seeds the generators.

        Raises:
            ModelCollapsed: Something is no longer a finite number.
            EditorError: The editor failed.
        """
        seed_everything(self._seed, number)
        begin = time.perf_counter()
        with self._blamed(f"in batch {number}"), torch.no_grad():
            report = self.editor.edit(requests)
            if not isinstance(report, EditReport):
                raise EditorError(f"edit() returned {type(report).__name__}, expected an EditReport.")
        if self.model.device.type == "cuda":
            torch.cuda.synchronize()
        seconds = time.perf_counter() - begin
        problem = not_finite(self.model.model, self.written, report)
        if problem:
            raise ModelCollapsed(f"{problem} after batch {number}")
        return report, seconds

    def snapshot(self) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Weights and editor state for a save; checks first that nothing else was changed.

        Raises:
            EditorError: The editor changed what it may not.
        """
        check_untouched(self.model.model, self._others, self._name)
        with self._blamed("while it gives its state"):
            state = dict(self.editor.state_dict())
        wrong = [name for name, value in state.items() if not isinstance(value, torch.Tensor)]
        if wrong:
            raise EditorError(f"{self._name}: state_dict() entry {wrong[0]!r} is not a tensor.")
        return self.model.read_weights(self.written), state

    @contextmanager
    def evaluated(self) -> Iterator[None]:
        """The model as it is to be scored."""
        with ExitStack() as stack:
            with self._blamed("while it makes the model ready to be scored"):
                stack.enter_context(self.editor.evaluated())
            yield

    @contextmanager
    def _blamed(self, where: str) -> Iterator[None]:
        """Turn whatever an editor raises into an `EditorError` that names it."""
        try:
            yield
        except _NOT_THE_EDITORS_FAULT:
            raise
        except EditorError as error:
            raise EditorError(f"{self._name} {where}: {error}") from error
        except (Exception, SystemExit) as error:  # whoever exits from inside an editor ends its own run only
            lack = trouble(error, files=False)
            if lack is not None:
                raise lack from error
            raise EditorError(f"{self._name} failed {where}: {type(error).__name__}: {error}") from error


def restore_pristine(model: EditableModel) -> None:
    """Undo all edits, to the bit, and take off the hooks of memory-based editors."""
    model.remove_hooks()
    model.write_weights({name: model.pristine(name) for name in model.edited_names()})
