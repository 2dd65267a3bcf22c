"""Descriptions of editors in their own words: the head of their source, read as text. None is ever imported."""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points

from palimpsest.harness.system.environment import DISTRIBUTION
from palimpsest.site.parts.editor_source import documented_fields, find_class, inner_class, read_module
from palimpsest.site.words import labels, papers

_GROUP = "palimpsest.editors"
_ARXIV = re.compile(r"(?:arXiv[: ]\s?)(\d{4}\.\d{4,5})")
_LONGEST = 6000
_MOST_SETTINGS = 100


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
    installed: bool
    """True if the package that provides it is installed where the page is built."""
    headline: str = ""
    blocks: tuple[Block, ...] = ()
    paper: str = ""
    """arXiv number; empty if none is named."""
    settings: tuple[tuple[str, str], ...] = ()
    """Fields of its configuration with what they mean."""
    citation: str = ""
    """BibTeX entries of a built-in editor's papers."""


def descriptions(composition: str, distribution: str) -> tuple[Description, ...]:
    """The editors of a composition, outermost first; see `describe`."""
    return tuple(describe(part, distribution) for part in labels.editor_parts(composition))


def describe(name: str, distribution: str) -> Description:
    """One editor by its entry-point name; empty parts where nothing can be read.

    Args:
        name: Of the editor; one part of a composition.
        distribution: What it comes from; of a composition all of them, with `` + `` between.
    """
    entry = _entry(name, distribution)
    module = None if entry is None else read_module(entry.module)
    if entry is None or module is None:
        return Description(name, labels.EDITORS.get(name, name), installed=entry is not None)
    editor = find_class(module, entry.attr)
    text = (ast.get_docstring(module.tree) or "") if _alone(entry) else ""
    text = text or (editor.docstring if editor is not None else "")
    headline, _, body = text[:_LONGEST].partition("\n")
    named = _ARXIV.findall(text)
    built_in = entry.dist is not None and entry.dist.name == DISTRIBUTION
    known = papers.PAPERS.get(name, ()) if built_in else ()
    config = inner_class(editor, "Config") if editor is not None else None
    return Description(
        name=name,
        title=labels.EDITORS.get(name, name),
        installed=True,
        headline=headline.strip(),
        blocks=blocks(body),
        paper=known[0].arxiv if known else (named[0] if named else ""),
        settings=tuple(documented_fields(config).items())[:_MOST_SETTINGS] if config is not None else (),
        citation="\n\n".join(map(papers.bibtex, known)),
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


def _entry(name: str, distributions: str) -> EntryPoint | None:
    """The entry point of an editor in one of these distributions."""
    wanted = {_normal(distribution) for distribution in distributions.split(" + ")}
    points = entry_points(group=_GROUP, name=name)
    return next((point for point in points if point.dist is not None and _normal(point.dist.name) in wanted), None)


def _alone(entry: EntryPoint) -> bool:
    """True if no other editor is in the same module, so that the head of the module is about this one."""
    return sum(point.module == entry.module for point in set(entry_points(group=_GROUP))) == 1


def _normal(distribution: str) -> str:
    """A distribution's name as indexes compare names."""
    return re.sub(r"[-_.]+", "-", distribution.strip()).lower()
