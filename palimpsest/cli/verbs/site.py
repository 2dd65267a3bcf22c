"""`palimpsest site`: build the leaderboard from the store, look at it."""

from __future__ import annotations

from typing import Annotated

import typer

from palimpsest.cli import options, output
from palimpsest.cli.store_place import published_claims, store_path
from palimpsest.site.build import build as render
from palimpsest.site.pages.plan_extras import Options
from palimpsest.site.serve import make_server

app = typer.Typer(add_completion=False, no_args_is_help=True, help="Build the leaderboard page and look at it.")


@app.command(
    epilog="Examples:\n\npalimpsest site build\n\n"
    "palimpsest site build --out public --base-url https://example.org/palimpsest/\n\nMore: docs/command-line.md"
)
def build(
    out: options.OutOption = None,
    nights: options.NightsOption = None,
    base_url: options.BaseOption = "",
    home: options.HomeOption = None,
    as_json: options.JsonOption = False,
) -> None:
    """Render the store as static pages that open from disk."""
    place = options.home_folder(home)
    extras = Options(
        nights=nights or place / "nights",
        base_url=options.base_address(base_url),
        claims=place / "claims",
        published_claims=published_claims(options.submissions_folder()),
        external=place / "external",
    )
    report = render(store_path(place), out or place / "site", extras)
    page = report.path.resolve().as_uri()
    if as_json:
        output.json_line({"page": page, "pages": report.pages, "bytes": report.bytes, "seconds": report.seconds})
        return
    output.note(f"{report.pages} pages, {report.bytes / 1000:.0f} kB, in {report.seconds:.1f} s.")
    output.line(page)


@app.command(epilog="Example:\n\npalimpsest site serve --port 8080\n\nMore: docs/command-line.md")
def serve(
    port: Annotated[
        int,
        typer.Option("--port", parser=options.whole_number, metavar="N", help="Port on this machine; 0: any free one."),
    ] = 8000,
    out: options.OutOption = None,
    home: options.HomeOption = None,
) -> None:
    """Serve the built site on this machine until Ctrl-C."""
    with make_server(out or options.home_folder(home) / "site", port) as server:
        host, taken = server.server_address[:2]
        output.line(f"http://{host!s}:{taken}/  (Ctrl-C ends it)")
        output.flush()
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            return
