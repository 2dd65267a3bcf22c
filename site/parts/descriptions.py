"""What editors say about themselves: the head of their module, read as text. Nothing of an editor is ever imported."""

from __future__ import annotations

import ast
import importlib.metadata
import re
from dataclasses import dataclass
from pathlib import Path

from palimpsest.site.words import labels

_GROUP = "palimpsest.editors"
_ROOT = Path(__file__).resolve().parent.parent.parent
_ARXIV = re.compile(r"(?:arXiv[: ]\s?)(\d{4}\.\d{4,5})")
_LONGEST = 6000


@dataclass(frozen=True, slots=True)
class Block:
    """A paragraph, or an equation as it is set in the source."""

    text: str
    equation: bool


@dataclass(frozen=True, slots=True)
class Description:
    """One editor of a composition."""

    name: str
    title: str
    headline: str
    blocks: tuple[Block, ...]
    paper: str
    """arXiv number; empty if none is named."""
    settings: tuple[tuple[str, str], ...]
    """Fields of its configuration with what they mean."""


def describe(name: str, distribution: str) -> Description:
    """One editor by its entry-point name; empty parts where nothing can be read."""
    tree = _tree(name, distribution)
    text = (ast.get_docstring(tree) or "") if tree is not None else ""
    headline, _, body = text[:_LONGEST].partition("\n")
    papers = _ARXIV.findall(text)
    known = labels.PAPERS.get(name, "") if distribution == "palimpsest-bench" else ""
    return Description(
        name=name,
        title=labels.EDITORS.get(name, name),
        headline=headline.strip(),
        blocks=blocks(body),
        paper=known or (papers[0] if papers else ""),
        settings=_settings(tree) if tree is not None else (),
    )


def blocks(text: str) -> tuple[Block, ...]:
    """Paragraphs and, where they are indented, equations."""
    found: list[Block] = []
    for part in re.split(r"\n\s*\n", text.strip("\n")):
        lines = part.split("\n")
        start = 0
        while start < len(lines):
            indented = lines[start].startswith("    ")
            stop = start
            while stop < len(lines) and lines[stop].startswith("    ") == indented:
                stop += 1
            taken = lines[start:stop]
            body = "\n".join(line[4:] for line in taken) if indented else " ".join(line.strip() for line in taken)
            if body.strip():
                found.append(Block(body.rstrip(), indented))
            start = stop
    return tuple(found)


def _tree(name: str, distribution: str) -> ast.Module | None:
    for entry in importlib.metadata.entry_points(group=_GROUP, name=name):
        if entry.dist is None or entry.dist.name != distribution:
            continue
        parts = entry.module.split(".")
        inside = _ROOT.joinpath(*parts[1:]).with_suffix(".py") if parts[0] == "palimpsest" else None
        path = inside or Path(str(entry.dist.locate_file("/".join(parts) + ".py")))
        try:
            return ast.parse(path.read_text(encoding="utf-8"))
        except (OSError, ValueError, SyntaxError):
            return None
    return None


def _settings(tree: ast.Module) -> tuple[tuple[str, str], ...]:
    """Annotated fields of the class ``Config`` with the text right under each."""
    found = []
    for config in (n for n in ast.walk(tree) if isinstance(n, ast.ClassDef) and n.name == "Config"):
        for field, below in zip(config.body, config.body[1:], strict=False):
            documented = isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant)
            if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name) and documented:
                assert isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant)
                found.append((field.target.id, " ".join(str(below.value.value).split())))
    return tuple(found)
