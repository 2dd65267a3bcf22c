"""Jobs of the pages about the leaderboard itself: its history with the feed, its nights, its address for programs."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from palimpsest.results.external import read_externals
from palimpsest.results.records import LedgerRow, Track
from palimpsest.results.store.bulk import RunHead
from palimpsest.site.jobs import Batch, File, Job, fingerprint
from palimpsest.site.pages import external, history
from palimpsest.site.pages import nights as nights_page
from palimpsest.site.pages.track import track_title
from palimpsest.site.parts.files import FORMATS, table_files
from palimpsest.site.words import columns as columns_of
from palimpsest.site.words.looks import Look
from palimpsest.site.words.text import clean, file_name, script

INDEX = "leaderboard.json"
"""Lists all tracks and where their tables are; its place and form stay."""
INDEX_FORMAT = 1
Page = Callable[..., File]
"""(path, template, key of the navigation, **context) → the page."""


@dataclass(frozen=True, slots=True)
class Options:
    """Options of a build, beside the store."""

    nights: Path | None = None
    """Folder of nights, ``<day>/night.json``."""
    base_url: str = ""
    """Address of the site, ending in a slash; empty: anywhere, then the feed's addresses are relative."""
    claims: Path | None = None
    """Folder of the records of claims."""
    published_claims: Path | None = None
    """Folder of those that were published, with their numbers."""
    external: Path | None = None
    """Folder of the scores of models that were edited elsewhere."""


def history_batch(
    page: Page, code: str, ledger: Sequence[LedgerRow], heads: Sequence[RunHead], tracks: Sequence[Track], base_url: str
) -> Batch:
    """The history page and its feed."""
    found = history.events(ledger, heads, {track.track_id: track_title(track) for track in tracks})
    columns = history.columns(found, heads, tracks)
    told = [(event.identity(""), event.run_href, event.track_href) for event in found]
    key = fingerprint(code, base_url, told, columns)

    def make(keys: Sequence[str]) -> Iterator[tuple[str, File]]:
        stem = "data/history"
        links = [(kind.upper() if kind != "parquet" else "Parquet", f"{stem}.{kind}") for kind in FORMATS]
        shown = history.gathered(found)
        view = history.history_view(shown)
        yield keys[0], page("history.html", "history.html", "history", view=view, files=links if found else [])
        yield keys[0], page("feed.xml", "feed.xml", "history", feed=history.feed_view(shown, base_url))
        yield keys[0], File("data/arrivals.js", script("arrivals", history.arrivals(found)))
        if found:
            for file in table_files(stem, columns):
                yield keys[0], file

    return Batch([Job("history", key)], make)


def nights_batch(
    page: Page, code: str, folder: Path | None, looks: Mapping[str, Look], tracks: Sequence[Track]
) -> Batch:
    """The page of nights and its data."""
    settled = {name: look.data for name, look in looks.items()}
    known = columns_of.of_tracks(tracks)

    def make(keys: Sequence[str]) -> Iterator[tuple[str, File]]:
        nights = nights_page.nights_of(folder)
        yield keys[0], page("nights.html", "nights.html", "nights", view=nights_page.nights_view(nights))
        if nights:
            made = (nights_page.night_data(nights, looks), nights_page.since_files(nights))
            for file in itertools.chain(*made, nights_page.number_files(nights, tracks)):
                yield keys[0], file

    return Batch([Job("nights", fingerprint(code, nights_page.digest(folder), settled, known))], make)


def external_batch(page: Page, code: str, folder: Path | None) -> Batch:
    """The page of models that were edited elsewhere, and its table; nothing where there are none."""
    rows = read_externals(folder)

    def make(keys: Sequence[str]) -> Iterator[tuple[str, File]]:
        stem = "data/external"
        view = external.external_view(rows)
        yield keys[0], page("external.html", "external.html", "downloads", groups=view, stem=stem, formats=FORMATS)
        for file in table_files(stem, external.external_columns(rows)):
            yield keys[0], file

    return Batch([Job("external", fingerprint(code, [row.model_dump_json() for row in rows]))] if rows else [], make)


def index_batch(code: str, tracks: Sequence[Track], version: str, base_url: str) -> Batch:
    """`INDEX`: for programs, which want one address that does not change."""
    value = {
        "format": INDEX_FORMAT,
        "version": version,
        "tracks": [_index_entry(track, base_url) for track in tracks],
    }
    text = json.dumps(value, indent=1, ensure_ascii=False)

    def make(keys: Sequence[str]) -> Iterator[tuple[str, File]]:
        yield keys[0], File(INDEX, text.encode("utf-8", "replace"))

    return Batch([Job("index", fingerprint(code, text))], make)


def _index_entry(track: Track, base_url: str) -> dict[str, Any]:
    name = file_name(track.track_id)
    tables = {kind: f"{base_url}data/track/{name}/table.{kind}" for kind in FORMATS}
    return {
        "track": name,
        "model": clean(track.model),
        "task": clean(track.task),
        "edits": track.edits,
        "batch_size": track.batch_size,
        "checkpoints": list(track.checkpoints),
        "edit_order": clean(track.edit_order),
        "protocol": track.protocol,
        "runs": track.runs,
        "headline": "effective_edits",
        "main": track.main_metric,
        "abilities_counted": [clean(name) for name in track.abilities_counted],
        "page": f"{base_url}track/{name}.html",
        "table": tables,
    }
