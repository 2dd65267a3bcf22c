"""`palimpsest site serve`: the files of the site and nothing else, and no traceback whatever is asked."""

import contextlib
import http.client
import socket
import struct
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from palimpsest.site.serve import make_server


@pytest.fixture
def port(tmp_path: Path) -> Iterator[int]:
    site = tmp_path / "site"
    (site / "run").mkdir(parents=True)
    (site / ".git").mkdir()
    (tmp_path / "secret.txt").write_text("secret")
    (site / "index.html").write_text("<p>the page</p>" + " " * 3_000_000)
    (site / "run" / "a.html").write_text("<p>a run</p>")
    (site / ".hidden").write_text("secret")
    (site / ".git" / "config").write_text("secret")
    (site / "link.txt").symlink_to(tmp_path / "secret.txt")
    (site / "inner.html").symlink_to(site / "index.html")
    (site / "folder").symlink_to(tmp_path)
    server = make_server(site, 0)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server.server_address[1]
    server.shutdown()
    server.server_close()


def get(port: int, path: str, method: str = "GET") -> tuple[int, bytes]:
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=10)) as connection:
        connection.putrequest(method, path, skip_host=True)
        connection.endheaders()
        answer = connection.getresponse()
        return answer.status, answer.read()


@pytest.mark.parametrize("path", ["/", "/index.html", "/index.html?x=1", "/run/a.html", "/./run/../run/a.html"])
def test_pages_are_served(port: int, path: str) -> None:
    status, content = get(port, path)
    assert status == 200
    assert content.startswith(b"<p>")


@pytest.mark.parametrize(
    "path",
    ["/.hidden", "/.git/config", "/link.txt", "/inner.html", "/folder/secret.txt", "/folder/", "/../secret.txt",
     "/%2e%2e/secret.txt", "/%00", "/a%00.html", "/index.html%00", "/run/", "/run/a.html/",
     "/" + "a" * 3000, "/%ff%fe"],
)  # fmt: skip
def test_nothing_else_is_served_and_no_traceback_is_printed(
    port: int, path: str, capfd: pytest.CaptureFixture[str]
) -> None:
    for method in ("GET", "HEAD"):
        status, content = get(port, path, method)
        assert status == 404
        assert b"secret" not in content
    assert "Traceback" not in capfd.readouterr().err


def test_a_reader_that_hangs_up_leaves_no_traceback(port: int, capfd: pytest.CaptureFixture[str]) -> None:
    for _ in range(5):
        with socket.create_connection(("127.0.0.1", port)) as connection:
            connection.sendall(b"GET / HTTP/1.0\r\n\r\n")
            connection.recv(10)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    assert get(port, "/run/a.html")[0] == 200
    assert capfd.readouterr().err == ""
