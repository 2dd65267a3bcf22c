"""The pages of the site: where each lies, what it depends on, and what it says."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any

import jinja2

from palimpsest.results.analysis.published import PublishedNumber, load_published
from palimpsest.results.external import external_files
from palimpsest.results.records import BoardRow, Track
from palimpsest.results.store.bulk import RunHead, chunks
from palimpsest.results.store.claim_record import brought_together, read_records
from palimpsest.results.store.outcomes import COLUMNS as OUTCOME_COLUMNS
from palimpsest.site.jobs import Batch, File, Job, ahead, fingerprint
from palimpsest.site.pages import badges, downloads, history, overview, plan_extras
from palimpsest.site.pages import claims as claims_page
from palimpsest.site.pages import editor as editor_page
from palimpsest.site.pages import run as run_page
from palimpsest.site.pages import track as track_page
from palimpsest.site.pages.plan_extras import Options
from palimpsest.site.parts import cases, payload
from palimpsest.site.parts.chooser import Part, chooser
from palimpsest.site.parts.descriptions import Description, descriptions
from palimpsest.site.parts.files import parquet
from palimpsest.site.parts.table import TableRow, table_rows
from palimpsest.site.source import Source
from palimpsest.site.words import labels, papers, text
from palimpsest.site.words.columns import MEANINGS
from palimpsest.site.words.frame import environment
from palimpsest.site.words.looks import editor_looks

CHUNK = 64
"""Runs whose data are in memory at once."""


def batches(source: Source, version: str, code: str, options: Options) -> Iterator[Batch]:
    """Everything that the site is made of."""
    heads = source.heads()
    own, published = (read_records(folder) if folder else [] for folder in (options.claims, options.published_claims))
    records = claims_page.shown_records(brought_together(own, published), heads)
    external = bool(external_files(options.external))
    code = fingerprint(code, bool(records), external)  # of which pages have links
    site = _Site(
        source, heads, environment(version, claims=bool(records), external=external), code, (version, options.base_url)
    )
    yield from site.batches()
    if records:
        yield claims_page.claims_batch(site.page, code, records, heads, source.claims)
    yield plan_extras.history_batch(site.page, code, source.ledger(), heads, site.tracks, options.base_url)
    nights_tracks = site.tracks if options.nights else []
    yield plan_extras.nights_batch(site.page, code, options.nights, site.looks, nights_tracks)
    yield plan_extras.external_batch(site.page, code, options.external)
    yield plan_extras.index_batch(code, site.tracks, version, options.base_url)


class _Site:
    """One build: what all jobs share."""

    def __init__(
        self, source: Source, heads: Sequence[RunHead], env: jinja2.Environment, code: str, cited: tuple[str, str]
    ) -> None:
        self.source = source
        self.env = env
        self.code = code
        self.cited = cited
        self.heads = heads
        self.looks = editor_looks(head.editor for head in heads)
        self.tracks = track_page.order_tracks(source.tracks())
        self.published = load_published()
        self.by_track: dict[str, list[RunHead]] = {track.track_id: [] for track in self.tracks}
        for head in self.heads:
            self.by_track[head.track_id].append(head)
        self.editors = overview.editor_counts(self.heads)

    def batches(self) -> Iterator[Batch]:
        yield self._plain()
        if len(self.tracks) > 1:
            ask = self.source.standings
            yield overview.overview_batch(self.page, self.code, self.tracks, self.heads, ask, _track_path)
        for head in self.tracks:
            track = _Track(self, head, front=len(self.tracks) == 1)
            yield track.batch()
            yield from track.run_batches()
            yield from track.row_batches()
        yield self._texts()
        yield self._editors()
        yield self._downloads()

    def page(self, path: str, template: str, page: str, *, same_as: str = "", **context: Any) -> File:
        """A page; ``same_as`` is the path of the one that search engines should list in its place."""
        base = self.cited[1]
        canonical = base and base + (same_as or path).removesuffix("index.html")
        root = "../" * path.count("/")
        return File(
            path, self.env.get_template(template).render(page=page, root=root, canonical=canonical, **context).encode()
        )

    def _plain(self) -> Batch:
        """Pages that depend on no figure of any run."""
        from palimpsest.harness.metrics.probes import METRICS

        tracks = [
            (text.file_name(t.track_id), track_page.track_title(t), self.editors[t.track_id]) for t in self.tracks
        ]
        makers: dict[str, Callable[[], File]] = {
            "reading": lambda: self.page("reading.html", "reading.html", "reading", metrics=METRICS),
            "compare": lambda: self.page("compare.html", "compare.html", "compare", tracks=tracks),
        }
        if not self.tracks:
            makers["empty"] = lambda: self.page("index.html", "empty.html", "board")
        return Batch(
            [Job(f"page/{name}", fingerprint(self.code, tracks)) for name in makers],
            lambda keys: ((key, makers[key.partition("/")[2]]()) for key in keys),
        )

    def _texts(self) -> Batch:
        """Prompts, once for all runs that ask the same."""
        first = {head.texts_hash: head.run_id for head in reversed(self.heads)}
        named = {f"texts/{name}": (name, run_id) for name, run_id in sorted(first.items())}

        def make(keys: Sequence[str]) -> Iterator[tuple[str, File]]:
            for key in keys:
                name, run_id = named[key]
                for file in cases.text_files(text.file_name(name), self.source.texts(run_id)):
                    yield key, file

        return Batch([Job(key, fingerprint(self.code, key)) for key in named], make)

    def _editors(self) -> Batch:
        """A page per editor, and the list of all."""
        by_editor: dict[str, list[RunHead]] = {}
        for head in self.heads:
            by_editor.setdefault(head.editor, []).append(head)
        parts = {name: descriptions(name, found[-1].distribution) for name, found in by_editor.items()}
        jobs = [
            Job(
                f"editor/{name}",
                fingerprint(self.code, sorted((h.run_id, h.digest, h.place) for h in found), parts[name]),
            )
            for name, found in sorted(by_editor.items())
        ]
        listed = [(name, found[-1].distribution, len(found), sorted({h.model for h in found}))
                  for name, found in sorted(by_editor.items())]  # fmt: skip

        def make(keys: Sequence[str]) -> Iterator[tuple[str, File]]:
            for key in keys:
                if key == "editors":
                    yield key, self._editor_list(listed, parts)
                    continue
                name = key.partition("/")[2]
                runs = self.source.editor_runs(name)
                view = editor_page.editor_view(name, runs, parts[name])
                yield key, self.page(f"editor/{view.file}.html", "editor.html", "editors", view=view)
                for file in editor_page.editor_files(name, runs):
                    yield key, file

        return Batch([*jobs, Job("editors", fingerprint(self.code, listed, parts))], make)

    def _editor_list(
        self, listed: Sequence[tuple[str, str, int, list[str]]], parts: Mapping[str, Sequence[Description]]
    ) -> File:
        rows = [
            (name, labels.editor_title(name), payload.editor_file(name), distribution, runs, models, parts[name])
            for name, distribution, runs, models in listed
        ]
        return self.page("editors.html", "editors.html", "editors", rows=rows)

    def _downloads(self) -> Batch:
        key = fingerprint(self.code, self.cited, [(head.run_id, head.digest) for head in self.heads])

        def make(keys: Sequence[str]) -> Iterator[tuple[str, File]]:
            found, files = downloads.table_downloads(self.source.tables())
            tracks = [
                (track_page.track_title(t), f"data/track/{text.file_name(t.track_id)}/table") for t in self.tracks
            ]
            database = next((file for file in files if file.path.endswith(".duckdb")), None)
            page = self.page("downloads.html", "downloads.html", "downloads", tables=found, tracks=tracks,
                             citation=papers.own_bibtex(*self.cited), bibliography=downloads.BIBLIOGRAPHY,
                             outcomes=OUTCOME_COLUMNS, columns=MEANINGS,
                             database=(database.path, len(database.data)) if database else None)  # fmt: skip
            for file in (page, downloads.bibliography_file(*self.cited), *files):
                yield "downloads", file

        return Batch([Job("downloads", key)], make)

    def references(self, track: Track) -> list[PublishedNumber]:
        """Published numbers that may stand beside those of a track: same model, task, batch size; in its metrics."""
        from palimpsest.site.parts.table import metric_names

        names = set(metric_names(track))
        return [
            one
            for one in self.published
            if (one.model, one.task, one.batch_size, one.window) == (track.model, track.task, track.batch_size, "all")
            and one.metric in names
            and one.edits in track.checkpoints
            and one.editor != "none"
        ]


class _Track:
    """One track of a build; what is asked of the source is asked once, and only if something is to be made."""

    def __init__(self, site: _Site, head: Track, *, front: bool) -> None:
        self.site = site
        self.head = head
        self.front = front
        self.heads = site.by_track[head.track_id]

    @cached_property
    def loaded(self) -> tuple[Track, list[BoardRow]]:
        track, rows = self.site.source.track(self.head.track_id)
        words = history.verifications(self.site.source.ledger())
        return track, [replace(row, verified_by=words.get((row.run_id, row.verified or ""), "")) for row in rows]

    @cached_property
    def rows(self) -> tuple[TableRow, ...]:
        track, runs = self.loaded
        return table_rows(track, runs, self.site.source.table_series(track.track_id), self.site.looks)

    @cached_property
    def chooser(self) -> tuple[Part, ...]:
        return chooser(self.head, self.site.tracks, _track_path, self.site.editors)

    @cached_property
    def by_run(self) -> dict[str, BoardRow]:
        return {row.run_id: row for row in self.loaded[1]}

    def batch(self) -> Batch:
        references = self.site.references(self.head)
        runs = [(head.run_id, head.digest) for head in self.heads]
        tracks = len(self.site.tracks)
        looks = sorted((name, self.site.looks[name].data) for name in {head.editor for head in self.heads})
        print_of = fingerprint(self.site.code, runs, self.chooser, references, tracks, looks)
        return Batch([Job(f"track/{self.head.track_id}", print_of)], self._make)

    def _make(self, keys: Sequence[str]) -> Iterator[tuple[str, File]]:
        track, _ = self.loaded
        view = track_page.track_view(track, self.rows, self.chooser)
        said: dict[str, Any] = {"view": view, "tracks": len(self.site.tracks)}
        same_as = "index.html" if self.front else ""
        found = [
            self.site.page(_track_path(track), "track.html", "board", same_as=same_as, front=False, runs=0, **said)
        ]
        if self.front:
            runs = len(self.site.heads)
            found.append(self.site.page("index.html", "track.html", "board", front=True, runs=runs, **said))
        for file in (*found, *track_page.track_files(track, self.rows, self.site.references(self.head))):
            yield keys[0], file

    def run_batches(self) -> Iterator[Batch]:
        for part in chunks([head.run_id for head in self.heads], CHUNK):
            inside = set(part)
            jobs = [
                Job(f"run/{head.run_id}", fingerprint(self.site.code, head.digest, head.texts_hash))
                for head in self.heads
                if head.run_id in inside
            ]
            yield Batch(jobs, self._make_runs)

    def _make_runs(self, keys: Sequence[str]) -> Iterator[tuple[str, File]]:
        run_ids = [key.partition("/")[2] for key in keys]
        texts = {head.run_id: head.texts_hash for head in self.heads}
        curves, parts = self.site.source.series(run_ids), self.site.source.parts(run_ids)
        track, _ = self.loaded
        # Nothing below asks the source but the thread, so that no two threads do.
        outcomes = ahead(lambda run_id: parquet(self.site.source.outcomes(run_id)), run_ids)
        for key, run_id, every_outcome in zip(keys, run_ids, outcomes, strict=True):
            row = self.by_run[run_id]
            view = run_page.run_view(row, track, parts[run_id], curves[run_id])
            name, asked = text.file_name(run_id), text.file_name(texts[run_id])
            page = self.site.page(f"run/{name}.html", "run.html", "run", view=view, track_href=_track_path(track),
                                  run_file=name, order_hash=texts[run_id], texts=asked)  # fmt: skip
            badge = File(f"badge/{name}.svg", badges.badge(view.title, view.bar.figure.text, track.edits))
            every = File(f"data/run/{name}/cases.parquet", every_outcome)
            for file in (page, badge, every, *run_page.run_files(row, view, curves[run_id], asked)):
                yield key, file

    def row_batches(self) -> Iterator[Batch]:
        """Curves of rows of several seeds; those of a single run are the run's own."""
        groups: dict[str, list[RunHead]] = {}
        for head in self.heads:
            groups.setdefault(head.row_id, []).append(head)
        jobs = [
            Job(f"row/{row_id}", fingerprint(self.site.code, sorted((h.run_id, h.digest) for h in group)))
            for row_id, group in sorted(groups.items())
            if len(group) > 1
        ]
        for part in range(0, len(jobs), CHUNK):
            yield Batch(jobs[part : part + CHUNK], self._make_rows)

    def _make_rows(self, keys: Sequence[str]) -> Iterator[tuple[str, File]]:
        wanted = {key.partition("/")[2] for key in keys}
        rows = [row for row in self.rows if row.id in wanted]
        run_ids = [run.run_id for row in rows for run in row.counted]
        curves, measured = self.site.source.series(run_ids), self.site.source.diagnostics(run_ids)
        for row in rows:
            name, runs = text.file_name(row.id), [run.run_id for run in row.counted]
            value = {
                "id": name,
                "seeds": [run.seed for run in row.counted],
                "curves": payload.combined_curves([curves[run] for run in runs], percent=True, own_cases=row.own_cases),
            }
            found = run_page.diagnostic_payload([measured[run] for run in runs])
            diagnostics = text.script(f"row-diagnostics/{name}", found)
            yield f"row/{row.id}", File(f"data/row/{name}/run.js", text.script(f"row/{name}", value))
            yield f"row/{row.id}", File(f"data/row/{name}/diagnostics.js", diagnostics)


def _track_path(track: Track) -> str:
    return f"track/{text.file_name(track.track_id)}.html"
