"""A small local server for a built site: this machine only, files only."""

from __future__ import annotations

import functools
import http.server
from pathlib import Path

from palimpsest.harness.errors import MissingResource, UsageError

HOST = "127.0.0.1"


class _Handler(http.server.SimpleHTTPRequestHandler):
    def end_headers(self) -> None:
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("Cache-Control", "no-store")
        super().end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Stay quiet; whoever serves a page to themselves sees it in the browser."""


def make_server(out_dir: Path, port: int = 8000) -> http.server.ThreadingHTTPServer:
    """A server for the site in ``out_dir``, bound but not yet serving; port 0 takes any free one.

    Raises:
        MissingResource: There is no site in ``out_dir``.
        UsageError: The port is taken or not allowed.
    """
    if not (out_dir / "index.html").is_file():
        raise MissingResource(f"There is no site in {out_dir}. Build it first: palimpsest site build")
    handler = functools.partial(_Handler, directory=str(out_dir))
    try:
        return http.server.ThreadingHTTPServer((HOST, port), handler)
    except (OSError, OverflowError) as error:
        raise UsageError(f"Port {port} on {HOST} cannot be used ({error}). Choose another one with --port.") from error


def serve(out_dir: Path, port: int = 8000) -> None:
    """Serve the site at ``http://127.0.0.1:port`` until interrupted (Ctrl-C ends it without a traceback)."""
    with make_server(out_dir, port) as server:
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            return
