"""Suites in YAML: those that ship, and those of users."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from palimpsest.harness.errors import ConfigError, unknown_name
from palimpsest.harness.specs.suite import Suite, build_suite
from palimpsest.harness.system.validation_messages import dotted, shown
from palimpsest.tasks.strict_yaml import parse

SUITES_FOLDER = Path(__file__).resolve().parent / "suites"


def suite_names() -> dict[str, str]:
    """Every suite that ships with Palimpsest, with its description."""
    return {path.stem: load_suite(path).description for path in sorted(SUITES_FOLDER.glob("*.yaml"))}


def load_suite(name: str | Path) -> Suite:
    """The suite called ``name``, or in the file ``name``.

    Raises:
        UsageError: There is no such suite or file.
        ConfigError: The file has wrong fields or values; all of them are listed.
    """
    path = Path(name)
    if not path.is_file():
        shipped = SUITES_FOLDER / f"{name}.yaml"
        if path.suffix in (".yaml", ".yml") or len(path.parts) != 1:
            raise ConfigError(f"Suite {path}: there is no such file. Suites that ship: palimpsest list suites")
        if not shipped.is_file():
            known = (entry.stem for entry in SUITES_FOLDER.glob("*.yaml"))
            raise unknown_name("Suite", str(name), known, "palimpsest list suites (or give a YAML file)")
        path = shipped
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"Suite {path}: cannot be read ({error}). Expected a YAML file in UTF-8.") from error
    values = parse(text, source=str(path))
    if not isinstance(values, dict):
        raise ConfigError(f"{path}: expected fields such as models, tasks, editors, schedule; got {shown(values)}.")
    return build_suite({"name": path.stem, **values}, place=_in_file(str(path)))


def _in_file(source: str) -> Callable[[Sequence[str | int]], str]:
    return lambda path: ", ".join(part for part in (source, dotted(path)) if part)
