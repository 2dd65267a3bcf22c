"""Filters: editors around another editor, which change its updates, or the weights that are scored.

A host of the locate-then-edit family lets filters in between its solve and the weights, layer by layer, so that its
residuals and the keys that it remembers are those of the filtered model. Of any other host the difference that a batch
made to the weights is filtered, which is well defined where the host writes down-projections only (FT, ROME).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, ClassVar

from torch import Tensor

from palimpsest.editors.toolkit.pipeline import LocateThenEdit, timed
from palimpsest.editors.toolkit.updates import Writer
from palimpsest.harness.editor import Editor, EditorConfig, EditReport, LayerUpdate
from palimpsest.harness.errors import ConfigError

if TYPE_CHECKING:
    from palimpsest.harness.model.editable import EditableModel
    from palimpsest.harness.specs.cases import EditRequest

_STATE = "host."


class Filter(Editor):
    """Base of filters. Subclasses override `filter`, or `evaluated`, and `start` if they need something per layer."""

    default_host: ClassVar[str | None] = "memit"
    """The editor that it stands around when none is named."""
    host: Editor
    layers: tuple[int, ...]
    """Blocks whose down-projection the host writes, ascending; known once prepared."""
    pipeline: LocateThenEdit | None = None
    """The editor, at the bottom of the hosts, into which filters are let; None: weight differences are filtered."""

    def __init_subclass__(cls) -> None:
        """Refuse a field whose name is taken: configurations of compositions hold the host's under it."""
        super().__init_subclass__()
        if "host" in getattr(cls, "Config", EditorConfig).model_fields:
            raise TypeError(f"{cls.__name__}.Config has a field 'host', where the host's configuration stands.")

    def __init__(self, config: EditorConfig, host: Editor) -> None:
        """Args: the filter's own configuration, and the editor that it stands around."""
        super().__init__(config)
        self.host = host

    @property
    def after_all_layers(self) -> bool:
        """True if updates are filtered only once those of all layers are known; a field of the config, if any."""
        return bool(getattr(self.config, "after_all_layers", False))

    @property
    def bottom(self) -> Editor:
        """The innermost host, which is no filter."""
        return self.host.bottom

    def prepare(self, model: EditableModel) -> None:
        """Prepare the host, and look at what it writes.

        Raises:
            ConfigError: The host cannot be filtered: it writes no weights, or others than down-projections.
        """
        self.model = model
        self.host.prepare(model)
        self.layers = self._layers_of_host()
        self.pipeline = pipeline_of(self.host)
        for layer in self.layers:
            self.start(layer)
        if self._filters and self.pipeline is not None:
            self.pipeline.filters.append(self)

    def start(self, layer: int) -> None:
        """Make what is needed for one layer, on the pristine model; called by `prepare`."""

    def filter(self, update: LayerUpdate, weight: Tensor, report: EditReport) -> LayerUpdate:
        """The update that is written in place of one; here the update itself.

        Args:
            update: Its factors R (d_out × n) and A (d_in × n), float64; or only its delta, d_out × d_in.
            weight: W before the update, d_out × d_in, float32; not to be changed.
            report: The batch's report, for counters and values.

        Returns:
            An update of the same layer: with factors that multiply to it, or without them and with delta.
        """
        return update

    def writes(self) -> Collection[str]:
        """The parameters that the host writes."""
        return self.host.writes()

    def edit(self, batch: Sequence[EditRequest]) -> EditReport:
        """Let the host write the batch, filtered.

        Raises:
            EditorError: The host fails, or something is not finite; model and host are as before then.
        """
        self.host.record_updates = self.record_updates
        if self.pipeline is not None or not self._filters:
            return self.host.edit(batch)
        before = self.model.read_weights(self.writes())
        with self.undone_on_failure():
            report = self.host.edit(batch)
            with timed(report, "filter"):
                updates = self._differences(before)
                self.model.write_weights(before)
                writer = Writer(self.model, [self], report)
                for update in updates:
                    writer.write(update)
                writer.finish()
        if self.record_updates:
            report.updates = writer.written
        return report

    @contextmanager
    def evaluated(self) -> Iterator[None]:
        """The model as the host wants it scored."""
        with self.host.evaluated():
            yield

    def state_dict(self) -> dict[str, Tensor]:
        """The host's state; a filter with a state of its own adds it under names without ``host.``."""
        return {_STATE + name: tensor for name, tensor in self.host.state_dict().items()}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Restore `state_dict`.

        Raises:
            ValueError: There is something in it that is not the host's.
        """
        strange = sorted(name for name in state if not name.startswith(_STATE))
        if strange:
            raise ValueError(f"{type(self).__name__} keeps no state of its own, but got {strange}.")
        self.host.load_state_dict({name.removeprefix(_STATE): tensor for name, tensor in state.items()})

    @contextmanager
    def undone_on_failure(self) -> Iterator[None]:
        """Put written weights and the host's state back, to the bit, if anything is raised inside."""
        weights = self.model.read_weights(self.writes())
        state = {name: tensor.clone() for name, tensor in self.host.state_dict().items()}
        try:
            yield
        except BaseException:
            self.model.write_weights(weights)
            self.host.load_state_dict(state)
            raise

    @property
    def _filters(self) -> bool:
        """True if this filter changes updates; otherwise it lets the host alone."""
        return type(self).filter is not Filter.filter

    def _differences(self, before: Mapping[str, Tensor]) -> list[LayerUpdate]:
        """Changes of the host's batch, per layer; layers without any change are left out."""
        updates = []
        for layer in self.layers:
            start = before[self.model.anatomy.weight_name(layer)]
            delta = self.model.weight(layer).double() - (start.T if self.model.anatomy.transposed else start).double()
            if bool(delta.any()):
                updates.append(LayerUpdate(layer, delta=delta))
        return updates

    def _layers_of_host(self) -> tuple[int, ...]:
        anatomy = self.model.anatomy
        layer_of = {anatomy.weight_name(layer): layer for layer in range(anatomy.n_layers)}
        written, names = set(self.host.writes()), (type(self).__name__, type(self.host).__name__)
        if not written:
            raise ConfigError(
                f"{names[0]} cannot stand around {names[1]}: that editor writes no weights, so there is no update to "
                "filter. Name a host that does, for example memit."
            )
        others = sorted(written - set(layer_of))
        if others:
            raise ConfigError(
                f"{names[0]} cannot stand around {names[1]}: that editor writes {others[0]}, and filters are defined "
                "for down-projections of MLPs only. Name another host, for example memit."
            )
        return tuple(sorted(layer_of[name] for name in written))


def pipeline_of(host: Editor) -> LocateThenEdit | None:
    """The editor at the bottom of hosts, if it lets filters in between its solve and the weights; else None."""
    if isinstance(host, Filter):
        return host.pipeline
    if isinstance(host, LocateThenEdit) and (type(host).edit is LocateThenEdit.edit or host.filters_inside):
        return host
    return None
