"""Our MEMIT and AlphaEdit beside the published code: the same model, templates, statistics and requests, in one run.

    git clone https://github.com/jianghoucheng/AlphaEdit && git -C AlphaEdit checkout f5248d3
    python benchmarks/peer.py AlphaEdit [--editor memit|alphaedit] [--batch 50] [--peer-edits 10] [--random]

Nothing of the published code is part of this repository: it is imported from the folder of the checkout, which is
needed only here (matplotlib, which it imports and which draws nothing here, need not be installed). It is written for a
GPU and for older releases of transformers; so `cuda` is taken as the CPU while it runs, and blocks return the tuples
that it expects. Statistics are ours, its own are never collected.

Ours edits one batch of ``--batch`` requests; the published code, whose cost grows evenly with the requests, the first
``--peer-edits`` of them, and on these both updates are compared. With ``--random`` the model is a random Llama of
12 blocks, 512 × 2048, vocabulary 32,000 (83 M parameters), and blocks 4 to 8 are edited. ``--requests`` takes a JSON
file (a list of objects with ``case_id``, ``prompt``, ``subject`` and ``target_new``) in place of those of the task.
Processor seconds of one thread. Exit code 1 if the updates differ by more than 1e-5 of their norm.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import importlib.util
import io
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from palimpsest.editors.toolkit.pipeline import LocateThenEdit
from palimpsest.harness.model.catalogue import resolve
from palimpsest.harness.model.editable import EditableModel
from palimpsest.harness.plugins.configuration import build_editor, resolve_config
from palimpsest.harness.runs.loaded_model import load
from palimpsest.harness.specs.cases import EditRequest
from palimpsest.harness.statistics.resources import with_statistics
from palimpsest.tasks.registry import load_task
from palimpsest.tasks.statistics_texts import find_text

RANDOM = {"layers": [4, 5, 6, 7, 8], "statistics_tokens": 5000}


class OnCpu(TorchFunctionMode):
    """Takes every mention of a GPU as the CPU."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        named = {name: "cpu" if name == "device" else value for name, value in (kwargs or {}).items()}
        if func is Tensor.cuda:
            return args[0]
        return func(*["cpu" if isinstance(a, str) and a.startswith("cuda") else a for a in args], **named)


class Tupled(nn.Module):
    """A block that returns a tuple, as blocks did when the published code was written."""

    def __init__(self, block: nn.Module) -> None:
        super().__init__()
        self.block = block

    def forward(self, *args: Any, **kwargs: Any) -> tuple[Any, ...]:
        """The block's output as the first member of a tuple."""
        return (self.block(*args, **kwargs),)


class Untupled(nn.Module):
    """Stand-in that the model calls in a block's place."""

    def __init__(self, block: nn.Module) -> None:
        super().__init__()
        self.tupled = Tupled(block)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """The block's output alone."""
        return self.tupled(*args, **kwargs)[0]


def random_llama() -> EditableModel:
    """The random model, with the tokenizer and the statistics text of the pocket world."""
    from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    config = LlamaConfig(
        hidden_size=512, intermediate_size=2048, num_hidden_layers=12, num_attention_heads=8, vocab_size=32000,
        max_position_embeddings=256, bos_token_id=0, eos_token_id=1, pad_token_id=1,
    )  # fmt: skip
    tokenizer = AutoTokenizer.from_pretrained(resolve("pocket-llama").folder)
    model = EditableModel(LlamaForCausalLM(config), tokenizer, name="random-83m", fingerprint="random-83m")
    text = find_text("pocket")
    with_statistics(model).set_statistics(text.name, text.read)
    return model


def seconds(work: Callable[[], Any]) -> tuple[float, Any]:
    """Processor seconds of ``work``, and what it returns."""
    begin = time.process_time()
    result = work()
    return time.process_time() - begin, result


def least(work: Callable[[], Any], times: int = 5) -> float:
    """Processor seconds of the fastest of some runs."""
    return min(seconds(work)[0] for _ in range(times))


def change(model: EditableModel, layers: Sequence[int], before: dict[str, Tensor]) -> dict[int, Tensor]:
    """Δ of each layer, d_out × d_in, float64; the weights are put back."""
    names = {layer: model.anatomy.weight_name(layer) for layer in layers}
    delta = {layer: (model.read_weights([name])[name] - before[name]).double() for layer, name in names.items()}
    model.write_weights(before)
    return delta


class Peer:
    """The published code on our model."""

    def __init__(self, checkout: Path, model: EditableModel, editor: LocateThenEdit, name: str) -> None:
        self._model, self._name, self._layers = model, name, list(editor.config.layers)
        sys.path.insert(0, str(checkout))
        if importlib.util.find_spec("matplotlib") is None:
            sys.modules |= {name: MagicMock() for name in ("matplotlib", "matplotlib.pyplot", "matplotlib.style")}
        os.chdir(checkout)  # it reads a file from the folder that it is started in
        package = {"memit": "memit.memit_main", "alphaedit": "AlphaEdit.AlphaEdit_main"}[name]
        parameters = {"memit": "memit.memit_hparams", "alphaedit": "AlphaEdit.AlphaEdit_hparams"}[name]
        self._main = importlib.import_module(package)
        kind = getattr(
            importlib.import_module(parameters), {"memit": "MEMIT", "alphaedit": "AlphaEdit"}[name] + "HyperParams"
        )
        config: Any = editor.config
        settings = json.loads(
            (checkout / "hparams" / kind.__name__.removesuffix("HyperParams") / "Llama3-8B.json").read_text()
        )
        block = "model.layers.{}.tupled"
        settings |= {
            "layers": self._layers, "clamp_norm_factor": config.clamp_norm_factor,
            "v_num_grad_steps": config.target_steps, "v_lr": config.target_learning_rate,
            "v_loss_layer": model.anatomy.n_layers - 1, "v_weight_decay": config.target_weight_decay,
            "kl_factor": config.kl_factor, "mom2_update_weight": getattr(config, "second_moment_weight", 0.0),
            "layer_module_tmp": block, "rewrite_module_tmp": f"{block}.block.mlp.down_proj",
            "mlp_module_tmp": f"{block}.block.mlp", "attn_module_tmp": f"{block}.block.self_attn",
        }  # fmt: skip
        if name == "alphaedit":
            settings |= {"L2": config.ridge, "nullspace_threshold": config.nullspace_threshold}
        self._settings = kind(**settings)
        self._main.CONTEXT_TEMPLATES_CACHE = editor.templates
        moments = model.resources.second_moments(self._layers, config.statistics_tokens)
        path = model.model.config._name_or_path.replace("/", "_")
        self._main.COV_CACHE = {
            (path, self._settings.rewrite_module_tmp.format(layer)): moments[layer].float() for layer in self._layers
        }
        removed: dict[int, Tensor] = getattr(editor, "removed", {})
        identity = torch.eye(model.anatomy.d_inner, dtype=torch.float64)
        self._projectors = [(identity - removed[layer] @ removed[layer].T).float() for layer in removed]

    def edit(self, requests: Sequence[EditRequest]) -> float:
        """Write one batch; processor seconds."""
        records = [
            {"case_id": r.case_id, "prompt": r.prompt, "subject": r.subject, "target_new": {"str": r.target_new}}
            for r in requests
        ]
        backbone: Any = self._model.module(self._model.anatomy.backbone)
        blocks = backbone.layers
        backbone.layers = nn.ModuleList([Untupled(block) for block in blocks])
        model, tokenizer = self._model.model, self._model.tokenizer
        try:
            with OnCpu(), contextlib.redirect_stdout(io.StringIO()):
                if self._name == "memit":
                    spent, _ = seconds(
                        lambda: self._main.apply_memit_to_model(model, tokenizer, records, self._settings)
                    )
                    return spent
                size = self._model.anatomy.d_inner
                state = {"cache_c": torch.zeros(len(self._layers), size, size), "P": torch.stack(self._projectors)}
                spent, _ = seconds(
                    lambda: self._main.apply_AlphaEdit_to_model(model, tokenizer, records, self._settings, **state)
                )
                return spent
        finally:
            backbone.layers = blocks


def compare(arguments: argparse.Namespace, home: Path) -> float:
    """Print both times; returns the largest relative difference of the updates."""
    if arguments.random:
        model = random_llama()
        config = resolve_config(arguments.editor, "pocket-llama", RANDOM | arguments.overrides)
    else:
        model = load(resolve("pocket-llama"), home, texts=find_text).model
        config = resolve_config(arguments.editor, "pocket-llama", arguments.overrides)
    requests = asked(arguments)
    editor: Any = build_editor(arguments.editor, config)
    editor.prepare(model)
    names = list(editor.writes())
    before = model.read_weights(names)
    editor.edit(requests[-2:])  # warm up
    model.write_weights(before)

    own: list[float] = []
    for _ in range(arguments.repeat):
        fresh: Any = build_editor(arguments.editor, config)
        fresh.prepare(model)
        first = 0
        spent = 0.0
        while first < arguments.edits:
            batch = requests[first : first + arguments.batch]
            spent += seconds(lambda fresh=fresh, batch=batch: fresh.edit(batch))[0]  # type: ignore[misc]
            first += arguments.batch
        own.append(spent / arguments.edits)
        model.write_weights(before)
    few = requests[: arguments.peer_edits]
    editor = build_editor(arguments.editor, config)
    editor.prepare(model)
    editor.edit(few)
    ours = change(model, editor.config.layers, before)
    peer = Peer(arguments.checkout, model, editor, arguments.editor)
    spent = peer.edit(few)
    theirs = change(model, editor.config.layers, before)
    worst = max(float((ours[layer] - theirs[layer]).norm() / theirs[layer].norm()) for layer in ours)
    published = spent / len(few)
    print(
        f"{model.name}, {arguments.editor}, batches of {arguments.batch}: ours {min(own):.4f} s/edit "
        f"(best of {len(own)}, worst {max(own):.4f}), published {published:.3f} s/edit (over {len(few)}), "
        f"{published / min(own):.1f} times as fast; updates of {len(few)} edits differ by {worst:.1e} of their norm"
    )
    return worst


def asked(arguments: argparse.Namespace) -> list[EditRequest]:
    """The requests."""
    if arguments.requests is None:
        return [case.request for case in load_task("pocket-counterfact").cases[: arguments.edits + 2]]
    records = json.loads(arguments.requests.read_text(encoding="utf-8"))
    return [EditRequest(r["case_id"], r["prompt"], r["subject"], r["target_new"], "") for r in records]


def main() -> int:
    """Compare; 0 if the updates agree."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkout", type=lambda text: Path(text).resolve())
    parser.add_argument("--editor", choices=["memit", "alphaedit"], default="memit")
    parser.add_argument("--batch", type=int, default=50)
    parser.add_argument("--edits", type=int, default=50)
    parser.add_argument("--peer-edits", type=int, default=10)
    parser.add_argument("--repeat", type=int, default=2)
    parser.add_argument("--random", action="store_true")
    parser.add_argument("--requests", type=lambda text: Path(text).resolve(), default=None)
    parser.add_argument("--overrides", type=json.loads, default={}, help="JSON object of the editor's fields")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as home:
        return int(compare(arguments, Path(home)) > 1e-5)


if __name__ == "__main__":
    sys.exit(main())
