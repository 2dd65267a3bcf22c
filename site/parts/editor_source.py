"""Classes of installed packages read as text: found as an import would find them, parsed, never imported."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.machinery import ModuleSpec
from pathlib import Path

_LARGEST = 1_000_000
"""Bytes of a source file that are still read."""
_FARTHEST = 20
"""Steps from class to base and from module to module that are followed."""


@dataclass(frozen=True, slots=True)
class Module:
    """A parsed source file."""

    name: str
    package: str
    """Package that relative imports in it start from."""
    tree: ast.Module


@dataclass(frozen=True, slots=True)
class SourceClass:
    """A class with the module that it is written in."""

    module: Module
    node: ast.ClassDef

    @property
    def docstring(self) -> str:
        """Its docstring; empty without one."""
        return ast.get_docstring(self.node) or ""


def read_module(name: str) -> Module | None:
    """The source of an installed module; None where there is none that can be read.

    No package is imported on the way: each finder of Python is asked for the parts of the name one after another.
    """
    spec: ModuleSpec | None = None
    parts = name.split(".")
    for length in range(1, len(parts) + 1):
        places = None if spec is None else spec.submodule_search_locations
        if length > 1 and places is None:
            return None
        spec = _found(".".join(parts[:length]), places)
    if spec is None or not spec.has_location or not (spec.origin or "").endswith(".py"):
        return None
    path = Path(str(spec.origin))
    try:
        if path.stat().st_size > _LARGEST:
            return None
        tree = ast.parse(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, SyntaxError, RecursionError, MemoryError):
        return None
    is_package = spec.submodule_search_locations is not None
    return Module(name, name if is_package else name.rpartition(".")[0], tree)


def find_class(module: Module, name: str, steps: int = _FARTHEST) -> SourceClass | None:
    """The class that ``name`` (``Class`` or ``Class.Inner``) stands for in a module, also if it is imported there."""
    outer, _, inner = name.partition(".")
    found = _defined(module, outer) or _imported(module, outer, steps)
    return inner_class(found, inner, steps) if found is not None and inner else found


def inner_class(outer: SourceClass, name: str, steps: int = _FARTHEST) -> SourceClass | None:
    """The class called ``name`` inside a class or inside the first of its bases that has one."""
    for node in outer.node.body:
        if isinstance(node, ast.ClassDef) and node.name == name:
            return SourceClass(outer.module, node)
        if isinstance(node, ast.Assign) and _names(node.targets) == [name]:
            return find_class(outer.module, ast.unparse(node.value), steps - 1) if steps else None
    inherited = (inner_class(base, name, steps - 1) for base in _bases(outer, steps))
    return next((found for found in inherited if found is not None), None)


def documented_fields(config: SourceClass, steps: int = _FARTHEST) -> dict[str, str]:
    """Annotated fields of a class with the text right under each, its own first, then those of its bases."""
    fields: dict[str, str] = {}
    for field, below in zip(config.node.body, config.node.body[1:], strict=False):
        if not (isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name)):
            continue
        if ast.unparse(field.annotation).startswith(("ClassVar", "typing.ClassVar")):
            continue
        if isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant) and isinstance(below.value.value, str):
            fields[field.target.id] = " ".join(below.value.value.split())
    for base in _bases(config, steps):
        for name, text in documented_fields(base, steps - 1).items():
            fields.setdefault(name, text)
    return fields


def _bases(found: SourceClass, steps: int) -> Iterator[SourceClass]:
    """The bases of a class that can be read."""
    for base in found.node.bases if steps else ():
        known = find_class(found.module, ast.unparse(base), steps - 1)
        if known is not None:
            yield known


def _defined(module: Module, name: str) -> SourceClass | None:
    classes = (node for node in module.tree.body if isinstance(node, ast.ClassDef) and node.name == name)
    node = next(classes, None)
    return None if node is None else SourceClass(module, node)


def _imported(module: Module, name: str, steps: int) -> SourceClass | None:
    """A class that ``from … import`` brings into a module."""
    imports = [node for node in ast.walk(module.tree) if isinstance(node, ast.ImportFrom)]
    for node in imports if steps else ():
        for alias in node.names:
            if (alias.asname or alias.name) == name:
                source = read_module(_absolute(module, node))
                return None if source is None else find_class(source, alias.name, steps - 1)
    return None


def _absolute(module: Module, node: ast.ImportFrom) -> str:
    """The full name of the module that is imported from."""
    if not node.level:
        return node.module or ""
    package = module.package.split(".")
    return ".".join([*package[: len(package) - node.level + 1], *([node.module] if node.module else [])])


def _found(name: str, places: Sequence[str] | None) -> ModuleSpec | None:
    """Find ``name`` as an import would; ``places``: folders of the package above it, None for the first part."""
    for finder in sys.meta_path:
        try:
            spec = finder.find_spec(name, places)
        except Exception:  # a finder of somebody else's
            continue
        if spec is not None:
            return spec
    return None


def _names(targets: Sequence[ast.expr]) -> list[str]:
    return [target.id for target in targets if isinstance(target, ast.Name)]
