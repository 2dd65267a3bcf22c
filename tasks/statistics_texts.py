"""The texts that key statistics are taken from: the two that ship, Wikipedia from the hub, or any text file.

``pocket`` is the pocket world's; ``spoken`` is what a small model of real text says by itself
(`palimpsest.tasks.realworld.write_text`).
"""

from __future__ import annotations

import gzip
import hashlib
import re
import zlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from palimpsest.harness.errors import ConfigError, MissingResource, UsageError, unknown_name
from palimpsest.harness.model.catalogue import require_no_pointer
from palimpsest.harness.statistics.texts import StatisticsSource, StatisticsText

WIKIPEDIA = ("wikimedia/wikipedia", "20231101.en", "b04c8d1ceb2f5cd4588862100d08de323dccfbaa")
"""Hub id, configuration and commit. The papers took the dump of 2020-05-01, which is no longer offered ready-made."""
_BLANK = re.compile(r"\n[^\S\n]*\n")
_LONGEST = 2_000
_SHUFFLED = 10_000
"""Articles among which the next one is drawn, seeded: the file is in the order in which articles were begun."""


def statistics_text(name: str) -> Iterable[str]:
    """The texts called ``name``: ``pocket``, ``spoken``, ``wikipedia``, or a local file's behind ``file:PATH``.

    Raises:
        UsageError: The name is not known, or there is no such file.
        ConfigError: The file is no UTF-8 text.
        MissingResource: Wikipedia is not cached and the hub cannot be reached.
    """
    kind, colon, path = name.partition(":")
    if colon and kind == "file":
        return paragraphs(Path(path))
    if name not in _TEXTS:
        raise unknown_name("Statistics text", name, _TEXTS, "pocket, spoken, wikipedia, or file:PATH")
    return _TEXTS[name]()


def find_text(name: str) -> StatisticsText:
    """The text called ``name``, as `statistics_text` reads it; Wikipedia is named with its commit."""
    if name == "wikipedia":
        return StatisticsText("@".join(WIKIPEDIA), lambda: statistics_text(name), fixed=True)
    return StatisticsText(name, lambda: statistics_text(name))


def statistics_source(path: Path) -> StatisticsSource:
    """Find the source that ``--stats-text`` names.

    Raises:
        UsageError: There is no such file.
        ConfigError: It cannot be read.
    """
    if path.is_dir() or path.suffix == ".npz":
        from palimpsest.harness.statistics.npz import read_npz

        return StatisticsSource(f"npz:{path}", read_npz(path).texts_hash)
    return StatisticsSource(f"file:{path}", hashlib.sha256("\n\n".join(paragraphs(path)).encode()).hexdigest())


def paragraphs(path: Path) -> list[str]:
    """The paragraphs of a text file, plain or gzipped; raises as `statistics_text`.

    A paragraph is what stands between blank lines. One of more than `_LONGEST` characters is divided between its lines,
    since models read only the beginning of what is longer than their context.
    """
    if not path.is_file():
        raise UsageError(f"Statistics text {path}: no such file.")
    require_no_pointer(path)
    try:
        raw = path.read_bytes()
        text = (gzip.decompress(raw) if path.suffix == ".gz" else raw).decode()
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        raise ConfigError(f"Statistics text {path}: cannot be read as UTF-8 text ({error}).") from None
    pieces: list[str] = []
    for paragraph in _BLANK.split(text.replace("\r\n", "\n")):
        piece = ""
        for line in paragraph.strip().split("\n"):
            if piece and len(piece) + len(line) > _LONGEST:
                pieces.append(piece)
                piece = ""
            piece = f"{piece}\n{line.strip()}" if piece else line.strip()
        pieces += [piece] if piece else []
    return pieces


def _pocket() -> list[str]:
    from palimpsest.tasks.pocket.text import statistics_text as pocket_text
    from palimpsest.tasks.pocket.world import build_world

    return list(pocket_text(build_world()))


def _spoken() -> list[str]:
    return paragraphs(Path(__file__).resolve().parent / "realworld" / "statistics.txt.gz")


def _wikipedia() -> Iterator[str]:
    from datasets import load_dataset

    place, configuration, revision = WIKIPEDIA
    try:
        articles = load_dataset(place, configuration, split="train", revision=revision, streaming=True)
        for article in articles.shuffle(seed=0, buffer_size=_SHUFFLED):
            yield article["text"]
    except Exception as error:  # datasets and the hub client each have errors of their own
        raise MissingResource(
            f"Key statistics are to come from Wikipedia ({place}, {configuration}), but the hub cannot be read "
            f"({type(error).__name__}). Connect, or give a text file with --stats-text FILE."
        ) from error


_TEXTS: dict[str, Callable[[], Iterable[str]]] = {"pocket": _pocket, "spoken": _spoken, "wikipedia": _wikipedia}
