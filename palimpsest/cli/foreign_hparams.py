"""Hyperparameter files of ROME, MEMIT, AlphaEdit, NSE and EasyEdit as presets: every field mapped, or named as unused.

The files are JSON or YAML; both are read as data alone. What Palimpsest does in one way only (the subject's last token,
all layers, a down-projection) is compared with what the file says, and a file that wants another method is refused.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from palimpsest.harness.errors import ConfigError, UsageError
from palimpsest.harness.model.catalogue import registered_models
from palimpsest.harness.plugins.configuration import resolve_config
from palimpsest.harness.system import strict_json
from palimpsest.harness.system.validation_messages import shown
from palimpsest.results.reading.foreign_text import Breaks, harmless
from palimpsest.tasks import strict_yaml

EDITORS = ("rome", "r-rome", "memit", "memit-seq", "alphaedit", "nse", "ft", "ft-l")
"""Editors that have files of this kind."""
TOKENS_PER_ARTICLE = 440
"""Tokens of a Wikipedia article, as the shipped presets reckon: 44 million of 100,000."""
_MOST_BYTES = 1_000_000

_TARGETS = {
    "v_num_grad_steps": "target_steps",
    "v_lr": "target_learning_rate",
    "v_weight_decay": "target_weight_decay",
    "clamp_norm_factor": "clamp_norm_factor",
    "kl_factor": "kl_factor",
    "mom2_n_samples": "statistics_tokens",
}
_FAMILY = {"layers": "layers", **_TARGETS}
_MEMIT = {**_FAMILY, "mom2_update_weight": "second_moment_weight"}
_ROME = {"layers": "layer", **_TARGETS, "mom2_adjustment": "second_moment_adjustment"}
_FT = {
    "layers": "layer",
    "num_steps": "steps",
    "lr": "learning_rate",
    "weight_decay": "weight_decay",
    "batch_size": "chunk",
    "objective_optimization": "reference_loss",
}
FIELDS: Mapping[str, Mapping[str, str]] = {
    "rome": _ROME,
    "r-rome": _ROME,
    "memit": _MEMIT,
    "memit-seq": _MEMIT,
    "alphaedit": {**_FAMILY, "nullspace_threshold": "nullspace_threshold", "L2": "ridge"},
    "nse": {
        **_MEMIT,
        "alpha": "error_threshold",
        "upper_bound": "error_limit",
        "neuron_threshold": "neuron_share",
        "max_iterations": "rounds",
    },
    "ft": _FT,
    "ft-l": {**_FT, "norm_constraint": "norm_constraint"},
}
"""Editor → field of its files → field of its configuration."""

_DETECTED = "found in the architecture"
_MACHINE = "no part of a preset: said with --device, --device-map or --threads of a run"
_DATA = "the text of key statistics belongs to the model, or is given with --stats-text"
UNUSED: Mapping[str, str] = {
    "alg_name": "says which editor it is",
    "model_name": "says which model it is",
    "rewrite_module_tmp": "the down-projection, " + _DETECTED,
    **dict.fromkeys(
        ("layer_module_tmp", "mlp_module_tmp", "attn_module_tmp", "ln_f_module", "lm_head_module"), _DETECTED
    ),
    **dict.fromkeys(("device", "model_parallel", "fp16", "bf16"), _MACHINE),
    **dict.fromkeys(("stats_dir", "mom2_dataset"), _DATA),
    "mom2_dtype": "statistics are summed in float64",
    "P_loc": "the projection is computed from key statistics",
    "fact_token": "always the subject's last token",
    "layer_selection": "always all layers",
    "v_loss_layer": "the loss is read at the model's output",
    "batch_size": "no part of a preset: said with --batch-size of a run",
    "max_length": "texts are not cut",
    "objective_optimization": "only fine-tuning has one",
    "mom2_update_weight": "this editor has no such term",
    "mom2_adjustment": "this editor always uses key statistics",
    "kl_factor": "this editor has no such term, and the file's is 0",
    "norm_constraint": "this editor has no box, and the file has none",
    "context_template_length_params": "only ROME's templates can be chosen",
}
"""Field → why it has no place in a preset."""
_ONLY = {"fact_token": "subject_last", "layer_selection": "all"}
_DOWN = ("down_proj", "c_proj", "fc_out", "dense_4h_to_h")


@dataclass(frozen=True, slots=True)
class Imported:
    """A file of hyperparameters as a preset."""

    editor: str
    model: str
    values: Mapping[str, Any]
    """Field of the configuration → value, checked."""
    sources: Mapping[str, str]
    """The same fields → field of the file."""
    unused: Mapping[str, str]
    """Fields of the file that are in no value → why."""

    def text(self, file: str) -> str:
        """The preset as TOML, each value with its source beside it.

        Args:
            file: Name of the file that it comes from.
        """
        name = harmless(file, Breaks.SPACE)
        lines = [f"# {self.editor} on {self.model}. Imported from {name}."]
        lines += [f"{field} = {json.dumps(value)}  # {self.sources[field]}" for field, value in self.values.items()]
        return "\n".join(lines) + "\n"


def read(path: Path) -> dict[str, Any]:
    """The fields of a file.

    Raises:
        UsageError: There is no such file, or it is too large for one of hyperparameters.
        ConfigError: It is neither JSON nor YAML, or holds no fields.
    """
    try:
        with path.open("rb") as file:
            raw = file.read(_MOST_BYTES + 1)
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}.") from error
    if len(raw) > _MOST_BYTES:
        raise UsageError(f"{path}: more than {_MOST_BYTES:,} bytes, so it is no file of hyperparameters.")
    try:
        found = strict_json.parse(raw) if path.suffix == ".json" else strict_yaml.parse(raw.decode(), source=str(path))
    except strict_json.JsonProblem as error:
        raise ConfigError(f"{path}: {error}.") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: not UTF-8.") from error
    if not isinstance(found, dict) or not found:
        raise ConfigError(f"{path}: expected fields with values, as {{layers: [4, 5], v_lr: 0.1}}, got {shown(found)}.")
    return found


def imported(fields: Mapping[str, Any], editor: str | None = None, model: str | None = None) -> Imported:
    """The preset that a file's fields amount to.

    Args:
        fields: As `read` gives them.
        editor: Whose they are; None: found by the fields.
        model: For which model; None: found by ``model_name``.

    Raises:
        UsageError: Editor or model cannot be found, or are not known.
        ConfigError: The file wants what Palimpsest does not do, or a value makes no sense; all problems are listed.
    """
    name = editor or _editor_of(fields)
    if name not in EDITORS:
        raise UsageError(f"--editor {name}: expected one of {', '.join(EDITORS)}.")
    place = model or _model_of(fields)
    problems = _problems(name, fields)
    values: dict[str, Any] = {}
    sources: dict[str, str] = {}
    for field, own in FIELDS[name].items():
        if field in fields:
            values[own] = _convert(own, field, fields[field], problems)
            sources[own] = field if own != "statistics_tokens" else f"{field}, about {TOKENS_PER_ARTICLE} tokens each"
    if "template_lengths" not in values and name in ("rome", "r-rome") and "context_template_length_params" in fields:
        _templates(fields["context_template_length_params"], values, problems)
        sources |= dict.fromkeys(("template_lengths", "templates_per_length"), "context_template_length_params")
    if problems:
        raise ConfigError("\n".join(problems))
    complete = resolve_config(name, "", values)
    used = set(FIELDS[name]) | ({"context_template_length_params"} if name in ("rome", "r-rome") else set())
    unused = {field: UNUSED.get(field, "not known") for field in fields if field not in used}
    found = Imported(name, place, {own: complete[own] for own in values}, sources, unused)
    _check_layers(found)
    return found


def _editor_of(fields: Mapping[str, Any]) -> str:
    """The editor that a file names, or that its fields are of."""
    named = str(fields.get("alg_name", "")).lower().replace("_", "-")
    boxed = fields.get("norm_constraint") not in (None, False)
    if named in ("ft", "ft-l") or (not named and {"num_steps", "lr"} <= set(fields)):
        return "ft-l" if boxed else "ft"
    if named:
        if named in EDITORS:
            return named
        raise UsageError(
            f"alg_name {shown(fields['alg_name'])}: there is no preset of it here. Known: {', '.join(EDITORS)}."
        )
    signs = {"nullspace_threshold": "alphaedit", "neuron_threshold": "nse", "mom2_update_weight": "memit"}
    signs["context_template_length_params"] = "rome"
    for sign, editor in signs.items():
        if sign in fields:
            return editor
    raise UsageError("The file does not say which editor it is for. Say it with --editor.")


def _model_of(fields: Mapping[str, Any]) -> str:
    """The registered model that ``model_name`` means, however it is spelt."""
    wanted = _plain(str(fields.get("model_name", "")))
    for name, entry in registered_models().items():
        if wanted and wanted in (_plain(name), _plain(entry.hub or "")):
            return name
    said = f" ({shown(fields['model_name'])} is no registered one)" if "model_name" in fields else ""
    raise UsageError(f"The file does not say which model it is for{said}. Say it with --model: palimpsest list models")


def _plain(name: str) -> str:
    return "".join(character for character in name.rstrip("/").rpartition("/")[2].lower() if character.isalnum())


def _problems(editor: str, fields: Mapping[str, Any]) -> list[str]:
    """Wishes of the file that this editor does not do here."""
    found = [
        f"{field}: {shown(fields[field])} is not done here, only {shown(only)}."
        for field, only in _ONLY.items()
        if field in fields and fields[field] != only
    ]
    module = str(fields.get("rewrite_module_tmp", "{}.mlp.down_proj")).removesuffix(".weight")
    if "mlp" not in module.split(".") or module.split(".")[-1] not in _DOWN:
        found.append(f"rewrite_module_tmp: {shown(module)} is no down-projection that is known here.")
    if editor in ("ft", "ft-l") and fields.get("kl_factor") not in (None, 0):
        found.append(f"kl_factor: {shown(fields['kl_factor'])} is not done here by fine-tuning, only 0.")
    if editor == "ft" and fields.get("norm_constraint") not in (None, False):
        found.append("norm_constraint: ft has no box; that is ft-l.")
    return found


def _one_layer(value: Any) -> Any:
    if not isinstance(value, list) or len(value) != 1:
        raise ValueError("expected a list of one layer")
    return value[0]


def _tokens(value: Any) -> Any:
    if not isinstance(value, int) or isinstance(value, bool):
        raise ValueError("expected a number of articles")
    return TOKENS_PER_ARTICLE * value


def _rounds(value: Any) -> Any:
    if not isinstance(value, int) or isinstance(value, bool) or value < 2:
        raise ValueError("expected a whole number of at least 2, of which one round writes nothing")
    return value - 1


def _objective(value: Any) -> Any:
    if value not in ("prompt_last", "target_new"):
        raise ValueError("expected prompt_last or target_new")
    return value == "prompt_last"


_CONVERTED: Mapping[str, Callable[[Any], Any]] = {
    "layer": _one_layer,
    "statistics_tokens": _tokens,
    "rounds": _rounds,
    "reference_loss": _objective,
}


def _convert(own: str, field: str, value: Any, problems: list[str]) -> Any:
    """The value for the configuration's field; what is wrong is added to ``problems``."""
    try:
        return _CONVERTED[own](value) if own in _CONVERTED else value
    except ValueError as error:
        problems.append(f"{field}: {error}, got {shown(value)}.")
        return None


def _templates(value: Any, values: dict[str, Any], problems: list[str]) -> None:
    """[[length, number], …] as lengths, and the number that they must have in common."""
    pairs = value if isinstance(value, list) and all(isinstance(one, list) and len(one) == 2 for one in value) else []
    numbers = {number for _, number in pairs if isinstance(number, int)}
    if len(numbers) != 1 or len(pairs) < 1:
        told = "expected [[length, number], …] with the same number of each"
        problems.append(f"context_template_length_params: {told}, got {shown(value)}.")
        return
    values |= {"template_lengths": [length for length, _ in pairs], "templates_per_length": numbers.pop()}


def _check_layers(found: Imported) -> None:
    """Refuse layers that a registered model does not have.

    Raises:
        ConfigError: There are such.
    """
    entry = registered_models().get(found.model)
    written = [*found.values.get("layers", []), *([found.values["layer"]] if "layer" in found.values else [])]
    blocks = entry.shape.blocks if entry is not None and entry.shape is not None else None
    if blocks is not None and any(layer >= blocks for layer in written):
        raise ConfigError(f"layers: {found.model} has blocks 0 to {blocks - 1}, got {written}.")
