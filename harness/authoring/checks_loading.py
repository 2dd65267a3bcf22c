"""C01, C02: the editor is found, imported and configured."""

from __future__ import annotations

import json
from typing import Any

from pydantic import ValidationError

from palimpsest.harness.authoring.bench import Bench
from palimpsest.harness.authoring.report import Finding, last_line
from palimpsest.harness.authoring.worker import ALONE
from palimpsest.harness.errors import ConfigError
from palimpsest.harness.plugins.compositions import complete
from palimpsest.harness.plugins.configuration import resolve_config
from palimpsest.harness.specs.composition import HOST
from palimpsest.harness.system import child

SECONDS = 2.0
_PROBE = """
import json, sys, time
import torch, transformers, palimpsest.editors.toolkit.pipeline
reached = []
def listen(event, arguments):
    if event in ("socket.connect", "socket.getaddrinfo", "socket.gethostbyname"):
        reached.append(event)
sys.addaudithook(listen)
begin = time.process_time()
from palimpsest.harness.plugins.compositions import complete
complete(sys.argv[1])
seconds = time.process_time() - begin
print(json.dumps({"seconds": seconds, "network": sorted(set(reached)), "gpu": torch.cuda.is_initialized()}))
"""


def loads_alone(bench: Bench) -> Finding:
    """C01. The harness, torch and transformers are there already; what is counted is the editor's own import."""
    ended = child.run("-c", _PROBE, bench.editor, variables=ALONE)
    if ended.returncode:
        return Finding("fail", f"importing it in a new process ended with {last_line(ended.stderr)}")
    found = json.loads(ended.stdout.strip().splitlines()[-1])
    if found["network"]:
        return Finding("fail", f"the import uses the network ({', '.join(found['network'])})")
    if found["gpu"]:
        return Finding("fail", "the import starts CUDA")
    seen = f"imported in {found['seconds']:.2f} s of processor time"
    if found["seconds"] > SECONDS:
        return Finding("fail", seen, f"less than {SECONDS:.0f} s, beyond torch and transformers")
    return Finding("ok", seen)


def configured(bench: Bench) -> Finding:
    """C02. Every field has a description; values survive JSON; an unknown field is refused by name."""
    problems: list[str] = []
    for name, cls in complete(bench.editor):
        bare = [field for field, info in cls.Config.model_fields.items() if not info.description]
        if bare:
            problems.append(f"{name}: no description of {', '.join(bare)}")
        problems += _accepts_anything(name, cls.Config)
    for model in bench.models:
        try:
            config = bench.config(model)
        except ConfigError as error:
            seen = f"no configuration for {model}: {' '.join(str(error).split())}"
            where = "class Config, or presets/EDITOR/MODEL.toml beside the editor's module"
            return Finding("fail", seen, "defaults or a preset for every field", where)
        again = resolve_config(bench.editor, model, json.loads(json.dumps(config)))
        if again != config:
            problems.append(f"written as JSON and read again, {_first_difference(config, again)} differs")
    if problems:
        return Finding("fail", "; ".join(problems))
    fields = sum(len(cls.Config.model_fields) for _, cls in complete(bench.editor))
    return Finding("ok", f"{fields} fields, all documented; unknown ones refused")


def _accepts_anything(name: str, config: Any) -> list[str]:
    try:
        config.model_validate({"no_such_field": 1})
    except ValidationError as error:
        if any(problem["loc"] == ("no_such_field",) for problem in error.errors()):
            return []
    return [f"{name}: a field that does not exist (no_such_field) is accepted"]


def _first_difference(first: dict[str, Any], second: dict[str, Any]) -> str:
    names = [name for name in first.keys() | second.keys() if first.get(name) != second.get(name)]
    return min((name for name in names if name != HOST), default=HOST)
