"""`palimpsest site`: build the leaderboard from the store, look at it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from palimpsest.cli import output

app = typer.Typer(add_completion=False, no_args_is_help=True, help="Build the leaderboard page and look at it.")

NightsOption = Annotated[
    Path | None, typer.Option("--nights", help="Folder of nights that the page tells of.", show_default="HOME/nights")
]
BaseOption = Annotated[
    str, typer.Option("--base-url", metavar="URL", help="Where the site will be; makes the feed's addresses absolute.")
]
OutOption = Annotated[Path | None, typer.Option("--out", help="Folder of the site.", show_default="HOME/site")]


@app.command(
    epilog="Examples:\n\npalimpsest site build\n\n"
    "palimpsest site build --out public --base-url https://example.org/palimpsest/\n\nMore: docs/command-line.md"
)
def build(
    out: OutOption = None,
    nights: NightsOption = None,
    base_url: BaseOption = "",
    home: output.HomeOption = None,
    as_json: output.JsonOption = False,
) -> None:
    """Render the store as static pages that open from disk."""
    from palimpsest.cli.verbs.store import store_path
    from palimpsest.site.build import build as render
    from palimpsest.site.pages.plan_extras import Options

    place = output.home_folder(home)
    options = Options(nights or place / "nights", checked_base(base_url))
    report = render(store_path(place), out or place / "site", options)
    page = report.path.resolve().as_uri()
    if as_json:
        output.json_line({"page": page, "pages": report.pages, "bytes": report.bytes, "seconds": report.seconds})
        return
    output.note(f"{report.pages} pages, {report.bytes / 1000:.0f} kB, in {report.seconds:.1f} s.")
    output.line(page)


def checked_base(url: str) -> str:
    """The address of the site, ending in a slash; empty stays empty.

    Raises:
        UsageError: It is no address of a folder on the web.
    """
    from urllib.parse import urlsplit

    from palimpsest.harness.errors import UsageError

    if not url:
        return ""
    parts = urlsplit(url)
    plain = url.isascii() and url.isprintable() and not set(url) & set(" \"'<>\\")
    if not plain or parts.scheme not in ("http", "https") or not parts.netloc or parts.query or parts.fragment:
        raise UsageError(f"--base-url: expected an address like https://example.org/palimpsest/, got {url!r}.")
    return url if url.endswith("/") else url + "/"


@app.command(epilog="Example:\n\npalimpsest site serve --port 8080\n\nMore: docs/command-line.md")
def serve(
    port: Annotated[
        int,
        typer.Option("--port", parser=output.whole_number, metavar="N", help="Port on this machine; 0: any free one."),
    ] = 8000,
    out: OutOption = None,
    home: output.HomeOption = None,
) -> None:
    """Serve the built site on this machine until Ctrl-C."""
    from palimpsest.site.serve import make_server

    with make_server(out or output.home_folder(home) / "site", port) as server:
        host, taken = server.server_address[:2]
        output.line(f"http://{host!s}:{taken}/  (Ctrl-C ends it)")
        output.flush()
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            return
