"""`palimpsest submit`: finished runs as bundles, ready for a pull request."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Annotated

import typer

from palimpsest import __version__
from palimpsest.cli import options, output
from palimpsest.cli.run_folders import find_run, summarise
from palimpsest.harness.errors import MissingResource, RunFailed
from palimpsest.harness.system.environment import DISTRIBUTION
from palimpsest.results.submissions.bounded import verify_bounded
from palimpsest.results.submissions.bundle import write_bundle
from palimpsest.results.submissions.editor_sources import EditorSource, editor_sources
from palimpsest.results.submissions.origins import origin_of, why_unpublished

app = typer.Typer(add_completion=False)


@app.command(
    epilog="Examples:\n\npalimpsest submit 3f9c\n\npalimpsest submit 3f9c 81aa --note 'one A100, 3 hours'\n\n"
    "More: docs/submitting.md"
)
def submit(
    runs: Annotated[list[str], typer.Argument(help="Ids of finished runs, or their beginnings.", metavar="RUN…")],
    out: Annotated[Path, typer.Option("--out", help="Folder of submissions.")] = options.SUBMISSIONS,
    note: Annotated[str, typer.Option("--note", help="Words of yours that stand with the result.")] = "",
    home: options.HomeOption = None,
    as_json: options.JsonOption = False,
) -> None:
    """Seal finished runs as bundles without weights, and check them as a reviewer would."""
    made = []
    for name in runs:
        folder = find_run(options.home_folder(home), name)
        editor = str((summarise(folder).spec or {}).get("editor", {}).get("name", ""))
        sources = editor_sources(editor)
        for source in sources:
            _warn_of_unpublished(source)
        bundle = write_bundle(folder, out, sources, version=__version__, note=note)
        try:
            problems = verify_bounded(bundle).problems
        except MissingResource:
            shutil.rmtree(bundle)  # unchecked, and in the way of the same command given again
            raise
        if problems:
            lines = "\n".join(f"{problem.path}: {problem.message}" for problem in problems)
            raise RunFailed(f"{bundle} would not pass the check:\n{lines}")
        made.append(bundle)
    if as_json:
        output.json_line([{"run": bundle.name, "bundle": bundle} for bundle in made])
        return
    for bundle in made:
        output.line(str(bundle))
    output.note(f"Next: git add {out} && git commit, then open a pull request. More: docs/submitting.md")


def _warn_of_unpublished(source: EditorSource) -> None:
    """Say that nobody else can install an editor as it is here."""
    reason = why_unpublished(origin_of(source.distribution), source.version)
    if source.distribution != DISTRIBUTION and reason:
        output.note(
            f"Warning: {source.name} of {source.distribution} {source.version} {reason}. Nobody can do "
            "the run again from its name and version. Publish a release, install it, and make the run with it."
        )
