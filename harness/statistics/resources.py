"""Statistics of the pristine model for editors: second moments of keys, spectra of those and of weights, templates.

Computed on first use, kept in memory, and cached on disk by content.
"""

from __future__ import annotations

import hashlib
import json
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from palimpsest.harness.errors import EditorError, MissingResource
from palimpsest.harness.model.pristine_statistics import LeftSpectrum, SecondMoments, Spectrum
from palimpsest.harness.model.tokens import prompt_ids
from palimpsest.harness.statistics import cache_files
from palimpsest.harness.statistics.second_moments import Progress, collect_moments, tokenised
from palimpsest.harness.statistics.spectrum import left_spectrum
from palimpsest.harness.system.locks import alone

if TYPE_CHECKING:
    from palimpsest.harness.model.editable import EditableModel

_TEMPLATE_STARTS = ("The", "Therefore", "Because", "I", "You")
_TOP_K = 5


def with_statistics(model: EditableModel, cache: Path | None = None, *, offload: bool = False) -> Resources:
    """Give a model its statistics, for editors to ask, and return them.

    Args:
        model: The unedited model.
        cache: Folder of cached statistics (``<home>/models``); None: nothing is kept on the disk.
        offload: Keep statistics, and what is solved with them, on the CPU.
    """
    place = torch.device("cpu") if offload else model.device
    resources = Resources(model, None if cache is None else cache / model.fingerprint, place)
    model.resources = resources
    return resources


class Resources:
    """Statistics of one pristine model. The harness says from which texts; editors ask for the results."""

    def __init__(self, model: EditableModel, folder: Path | None, device: torch.device | None = None) -> None:
        """Statistics of ``model``, unedited whenever something is computed; ``folder`` is their disk cache, if any."""
        self._model = model
        self.device = device or model.device
        self.progress: Progress | None = None
        """Receives progress of a pass over the statistics text."""
        self.used: dict[str, str | int] | None = None
        """Name, tokens and hash of the statistics that were last asked for."""
        self.damaged: list[str] = []
        """Messages about files of the cache that were damaged and are made again."""
        self.folder = folder
        """Folder in which statistics are kept; None: they are not."""
        self._statistics_name = ""
        self._texts: Callable[[], Iterable[str]] | None = None
        self._max_tokens: int | None = None
        self._fixed_text = False
        self._templates: list[list[str]] | None = None
        self._moments: dict[str, dict[int, Tensor]] = {}
        self._given: SecondMoments | None = None
        self._sequences: dict[int | None, tuple[list[list[int]], str]] = {}
        self._spectra: dict[tuple[str, int], Spectrum] = {}
        self._weight_spectra: dict[int, LeftSpectrum] = {}
        self._sampled: dict[tuple[int, int, int], list[list[str]]] = {}

    def set_statistics(
        self, name: str, texts: Callable[[], Iterable[str]], max_tokens: int | None = None, *, fixed: bool = False
    ) -> None:
        """Name the text that key statistics come from; at most ``max_tokens`` of its tokens are used.

        ``fixed``: ``name`` always refers to the same text, which is then not read when all is cached.
        """
        self._statistics_name, self._texts, self._max_tokens, self._fixed_text = name, texts, max_tokens, fixed
        self._sequences.clear()

    def has_second_moments(self, layers: Sequence[int], max_tokens: int | None = None) -> bool:
        """True if `second_moments` of these layers are there and nothing has to be collected."""
        if self._given is not None:
            return set(layers) <= set(self._given.matrices)
        if self._texts is None:
            return False
        texts_hash, _ = self._identity(max_tokens if max_tokens is not None else self._max_tokens)
        known, folder = self._moments.get(texts_hash, {}), self.folder
        name = f"second-moments-{texts_hash[:16]}"
        return all(
            layer in known or (folder is not None and (folder / f"{name}-{layer}.safetensors").is_file())
            for layer in layers
        )

    def set_second_moments(self, moments: SecondMoments | None) -> None:
        """Use these statistics in place of computed ones; None: computed ones again."""
        self._given = moments
        self._spectra.clear()

    def set_context_templates(self, templates: Sequence[Sequence[str]]) -> None:
        """Use these context templates in place of sampled ones."""
        self._templates = [list(group) for group in templates]

    def second_moments(
        self, layers: Sequence[int], max_tokens: int | None = None, *, wait: bool = True
    ) -> SecondMoments:
        """C0 of these layers, all in one pass over the statistics text.

        Args:
            layers: Blocks whose down-projection inputs are wanted.
            max_tokens: How many tokens to average over; None: as set with `set_statistics`.
            wait: Whether another process that collects them now is waited for.

        Raises:
            Held: Another process collects them now and is not to be waited for.
            MissingResource: No statistics text is set, or recorded statistics lack a layer.
            EditorError: The model was edited already, so its statistics are no longer the pristine ones.
        """
        if self._given is not None:
            lacking = sorted(set(layers) - set(self._given.matrices))
            if lacking:
                raise MissingResource(f"The given second moments lack layers {lacking}; needed are {list(layers)}.")
            self.used = {"name": "given", "tokens": self._given.tokens, "texts_hash": self._given.texts_hash}
            return self._given
        limit = max_tokens if max_tokens is not None else self._max_tokens
        texts_hash, tokens = self._identity(limit)
        known = self._moments.setdefault(texts_hash, {})
        name = f"second-moments-{texts_hash[:16]}"
        if self._missing(name, layers, known):
            self._require_pristine("Second moments")
            with alone(self.folder, name, wait=wait) as waited:
                missing = self._missing(name, layers, known) if waited else sorted(set(layers) - set(known))
                if missing:
                    texts_hash = self._collect(missing, limit, known)
        self._note(texts_hash, tokens, limit)
        return SecondMoments({layer: known[layer] for layer in layers}, tokens, texts_hash)

    def _missing(self, name: str, layers: Sequence[int], known: dict[int, Tensor]) -> list[int]:
        """The layers whose second moments are neither known nor, as they then are, in the cache."""
        for layer in set(layers) - set(known):
            cached = self._load(f"{name}-{layer}")
            if cached is not None:
                known[layer] = cached["c0"]
        return sorted(set(layers) - set(known))

    def _collect(self, missing: Sequence[int], limit: int | None, known: dict[int, Tensor]) -> str:
        """Collect second moments and cache them; the hash of the text that was read."""
        sequences, texts_hash = self._token_sequences(limit)
        name = f"second-moments-{texts_hash[:16]}"
        part = None if self.folder is None else self.folder / f"{name}-{'-'.join(map(str, missing))}.partial"
        known.update(collect_moments(self._model, missing, sequences, part, self.progress))
        for layer in missing:
            self._save(f"{name}-{layer}", {"c0": known[layer]})
        return texts_hash

    def spectrum(self, layer: int, max_tokens: int | None = None) -> Spectrum:
        """Eigendecomposition of the layer's C0; raises as `second_moments`."""
        moments = self.second_moments([layer], max_tokens)
        key = (moments.texts_hash, layer)
        if key not in self._spectra:

            def make() -> dict[str, Tensor]:
                values, vectors = torch.linalg.eigh(moments[layer])
                return {"values": values, "vectors": vectors}

            named_by_content = len(moments.texts_hash) == 64
            found = self._once(f"spectrum-{moments.texts_hash[:16]}-{layer}", make) if named_by_content else make()
            self._spectra[key] = Spectrum(found["values"], found["vectors"])
        return self._spectra[key]

    def weight_spectrum(self, layer: int) -> LeftSpectrum:
        """Singular values and left singular vectors of the layer's pristine down-projection, on the device of that."""
        if layer not in self._weight_spectra:
            weight = self._model.pristine_weight(layer)
            digest = hashlib.sha256(weight.contiguous().cpu().numpy().data).hexdigest()

            def make() -> dict[str, Tensor]:
                found = left_spectrum(weight)
                return {"values": found.values, "vectors": found.vectors}

            cached = self._once(f"weight-spectrum-{digest[:16]}-{layer}", make)
            values, vectors = (cached[part].to(weight.device) for part in ("values", "vectors"))
            self._weight_spectra[layer] = LeftSpectrum(values, vectors)
        return self._weight_spectra[layer]

    def context_templates(self, seed: int | None = None, count: int = 5, length: int = 10) -> list[list[str]]:
        """Groups of templates with one ``{}`` each: the clean one, and ``count`` behind a sampled sentence.

        Sentences are sampled (top-k 5) from the pristine model with a generator of their own, ``length`` tokens
        each with special tokens, and made part of a template as in MEMIT. Same model and seed, same templates.
        """
        if self._templates is not None:
            return [list(group) for group in self._templates]
        key = (seed or 0, count, length)
        if key not in self._sampled:
            name = "templates-" + "-".join(map(str, key)) + ".json"
            path = None if self.folder is None else self.folder / name
            kept = None if path is None else cache_files.read_json(path, self.damaged.append)
            if kept is None:
                self._require_pristine("Context templates")
                kept = [["{}"], _sample_templates(self._model, *key)]
                if path is not None:
                    cache_files.write_json(path, kept)
            self._sampled[key] = kept
        return [list(group) for group in self._sampled[key]]

    def _token_sequences(self, max_tokens: int | None) -> tuple[list[list[int]], str]:
        """The statistics text as token sequences, cut at ``max_tokens`` in all, and their hash."""
        if max_tokens not in self._sequences:
            if self._texts is None:
                raise MissingResource(
                    f"No statistics text is set for {self._model.name}; the editor needs second moments of keys. "
                    "Name one in the model's entry (statistics = …) or call resources.set_statistics(name, texts)."
                )
            sequences = tokenised(self._model, self._texts(), max_tokens)
            digest = hashlib.sha256(json.dumps(sequences).encode()).hexdigest()
            if not sequences:
                raise MissingResource(f"The statistics text {self._statistics_name!r} is empty.")
            self._sequences[max_tokens] = (sequences, digest)
        return self._sequences[max_tokens]

    def _identity(self, limit: int | None) -> tuple[str, int]:
        """Hash and number of tokens; of a text that never changes, remembered, so that it need not be read again."""
        path = self._note_path(limit)
        if self._fixed_text and path is not None:
            noted = cache_files.read_json(path, self.damaged.append)
            if noted is not None:
                return str(noted["texts_hash"]), int(noted["tokens"])
        sequences, texts_hash = self._token_sequences(limit)
        return texts_hash, sum(len(sequence) for sequence in sequences)

    def _note(self, texts_hash: str, tokens: int, limit: int | None) -> None:
        """Record what the statistics rest on, beside them and for the run."""
        self.used = {"name": self._statistics_name, "tokens": tokens, "texts_hash": texts_hash}
        path = self._note_path(limit)
        if path is not None and cache_files.read_json(path, lambda _: None) is None:
            cache_files.write_json(path, self.used)

    def _note_path(self, limit: int | None) -> Path | None:
        name = hashlib.sha256(f"{self._statistics_name} {limit}".encode()).hexdigest()[:16]
        return None if self.folder is None else self.folder / f"statistics-{name}.json"

    def _require_pristine(self, what: str) -> None:
        changed = [
            name
            for name in self._model.edited_names()
            if not torch.equal(self._model.read_weights([name])[name], self._model.pristine(name))
        ]
        if changed:
            raise EditorError(f"{what} must come from the pristine model, but {changed[0]} is edited already.")

    def _once(self, name: str, make: Callable[[], dict[str, Tensor]]) -> dict[str, Tensor]:
        """Tensors that are cached under ``name``, or are made and cached now, while other processes wait for them."""
        cached = self._load(name)
        if cached is None:
            with alone(self.folder, name) as waited:
                cached = self._load(name) if waited else None
                if cached is None:
                    cached = make()
                    self._save(name, cached)
        return cached

    def _load(self, name: str) -> dict[str, Tensor] | None:
        if self.folder is None:
            return None
        tensors = cache_files.read_tensors(self.folder / f"{name}.safetensors", self.damaged.append)
        return None if tensors is None else {key: tensor.to(self.device) for key, tensor in tensors.items()}

    def _save(self, name: str, tensors: Mapping[str, Tensor]) -> None:
        if self.folder is not None:
            cache_files.write_tensors(self.folder / f"{name}.safetensors", tensors)


@torch.no_grad()
def _sample_templates(model: EditableModel, seed: int, count: int, length: int) -> list[str]:
    generator = torch.Generator("cpu").manual_seed(seed)
    templates = []
    for number in range(count):
        ids: list[int] = prompt_ids(model.tokenizer, [_TEMPLATE_STARTS[number % len(_TEMPLATE_STARTS)]])[0]
        while len(ids) < length:
            logits = model.model(torch.tensor([ids], device=model.device)).logits[0, -1].float().cpu()
            best, candidates = logits.topk(min(_TOP_K, len(logits)))
            choice = torch.multinomial(best.softmax(0), 1, generator=generator)
            ids.append(int(candidates[choice]))
        text = unicodedata.normalize("NFKD", model.tokenizer.decode(ids, skip_special_tokens=True))
        plain = " ".join(text.replace("{", " ").replace("}", " ").split())
        templates.append(f"{plain}. {{}}")
    return templates
