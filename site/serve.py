"""A small local server for a built site: this machine only, files of the site only."""

from __future__ import annotations

import functools
import http.server
import sys
from pathlib import Path

from palimpsest.harness.errors import MissingResource, UsageError

HOST = "127.0.0.1"


class _Handler(http.server.SimpleHTTPRequestHandler):
    def translate_path(self, path: str) -> str:
        """The file that a request names; a name that no file can have for what does not belong to the site."""
        nowhere = str(Path(self.directory) / "no such page")
        try:
            named = Path(super().translate_path(path))
            inside = named.relative_to(self.directory)
            real = named.resolve() == Path(self.directory).resolve() / inside
        except ValueError:  # a zero byte, or a place outside
            return nowhere
        hidden = any(part.startswith(".") for part in inside.parts)
        ending = "/" if path.split("?")[0].split("#")[0].endswith("/") else ""
        return f"{named}{ending}" if real and not hidden else nowhere

    def list_directory(self, path: object) -> None:
        """Refuse; every page is linked from another."""
        self.send_error(http.HTTPStatus.NOT_FOUND)

    def end_headers(self) -> None:
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("Cache-Control", "no-store")
        super().end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Stay quiet; whoever serves a page to themselves sees it in the browser."""


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """Say in one line what failed, and nothing of a reader that went away."""
        error = sys.exception()
        if not isinstance(error, ConnectionError | TimeoutError):
            print(f"A request could not be answered: {error}", file=sys.stderr)


def make_server(out_dir: Path, port: int = 8000) -> http.server.ThreadingHTTPServer:
    """A server for the site in ``out_dir``, bound but not yet serving; port 0 takes any free one.

    Hidden files and links are not served: what is served is what `palimpsest site build` wrote.

    Raises:
        MissingResource: There is no site in ``out_dir``.
        UsageError: The port is taken or not allowed.
    """
    if not (out_dir / "index.html").is_file():
        raise MissingResource(f"There is no site in {out_dir}. Build it first: palimpsest site build")
    handler = functools.partial(_Handler, directory=str(out_dir.resolve()))
    try:
        return _Server((HOST, port), handler)
    except (OSError, OverflowError) as error:
        raise UsageError(f"Port {port} on {HOST} cannot be used ({error}). Choose another one with --port.") from error
