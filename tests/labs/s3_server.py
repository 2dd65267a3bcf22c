"""Moto's S3 on the loopback: one request at a time, as S3 has it, with a record of heads, and answers that get lost."""

from __future__ import annotations

import io
import os
import random
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from moto.s3.models import s3_backends
from pydantic import ValidationError
from werkzeug.serving import WSGIRequestHandler, make_server

from palimpsest.harness.depot.head import Head

BUCKET = "palimpsest-depot"
SECRET = "s3cretWordThatMustNotBeSeenAnywhere"


class _Quiet(WSGIRequestHandler):
    def log(self, *_: Any) -> None:
        """Say nothing."""


@dataclass
class S3:
    """A server with one bucket."""

    port: int = 0
    lose: float = 0.0
    """Share of the answers that get lost after the request has been done."""
    dice: random.Random = field(default_factory=lambda: random.Random(0))
    heads: list[bytes] = field(default_factory=list)
    """Contents of all heads that were written, in order."""
    torn: list[str] = field(default_factory=list)
    """Blobs that a head named while they were not there, looked for after every request."""
    _now: dict[str, bytes] = field(default_factory=dict)
    down: bool = False
    """It answers nothing but errors, and does nothing."""
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _app: Any = field(default_factory=lambda: DomainDispatcherApplication(create_backend_app))

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        said: list[Any] = []
        with self._lock:
            if self.down:
                start_response("503 Service Unavailable", [("Content-Length", "0")])
                return [b""]

            environ["wsgi.input"] = io.BytesIO(body)
            answer = list(self._app(environ, lambda *words: said.append(words)))
            done = said[0][0].startswith("2")
            if done and environ["REQUEST_METHOD"] == "PUT" and "/heads/" in environ["PATH_INFO"]:
                self.heads.append(body)
                self._now[environ["PATH_INFO"]] = body
            if done and environ["REQUEST_METHOD"] != "GET":
                self._look_for_blobs()
            lost = self.dice.random() < self.lose
        if lost:
            start_response("500 Internal Server Error", [("Content-Length", "0")])
            return [b""]
        start_response(*said[0])
        return answer

    def _look_for_blobs(self) -> None:
        there = s3_backends["123456789012"]["aws"].buckets[BUCKET].keys
        for place, data in self._now.items():
            folder = place.removeprefix(f"/{BUCKET}/").partition("heads/")[0]
            with suppress(ValidationError):  # no head: a test of stores alone, or of what is damaged
                head = Head.model_validate_json(data)
                named = {f"{folder}runs/{head.run}/{key}" for key in head.keys}
                self.torn += [key for key in named if key not in there]

    @property
    def variables(self) -> dict[str, str]:
        """Environment variables of those who use it."""
        return {
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{self.port}",
            "AWS_ALLOW_HTTP": "true",
            "AWS_ACCESS_KEY_ID": "key",
            "AWS_SECRET_ACCESS_KEY": SECRET,
            "AWS_REGION": "us-east-1",
        }


@contextmanager
def s3_server() -> Iterator[S3]:
    """A server while the context lasts; its variables are in the environment."""
    s3 = S3()
    server = make_server("127.0.0.1", 0, s3, threaded=True, request_handler=_Quiet)
    s3.port = server.server_port
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    before = {name: os.environ.get(name) for name in s3.variables}
    os.environ.update(s3.variables)
    try:
        _make_bucket()
        yield s3
    finally:
        server.shutdown()
        thread.join()
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})


def _make_bucket() -> None:
    import boto3

    boto3.client("s3", endpoint_url=os.environ["AWS_ENDPOINT_URL"], region_name="us-east-1").create_bucket(
        Bucket=BUCKET
    )
