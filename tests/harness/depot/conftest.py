"""A server of S3 on the loopback, and a folder of it for each test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.labs.s3_server import BUCKET, S3, s3_server


@pytest.fixture(scope="module")
def server() -> Iterator[S3]:
    """The server, for the tests of a file."""
    with s3_server() as s3:
        yield s3


@pytest.fixture
def s3(server: S3) -> Iterator[S3]:
    """The server without an earlier test's faults and heads."""
    server.heads.clear()
    server.torn.clear()
    yield server
    server.lose = 0.0
    server.down = False


@pytest.fixture
def url(server: S3, request: pytest.FixtureRequest) -> str:
    """Address of a depot of this test's own."""
    return f"s3://{BUCKET}/{request.node.name.partition('[')[0]}"
