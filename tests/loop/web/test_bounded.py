"""Strangers who open many connections, or ask slowly or much, keep nobody out and fill nothing."""

from __future__ import annotations

import logging
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest

from loop.project.project import Project
from loop.web import bounded
from loop.web.app import build_app
from tests.fakes import FakeParts
from tests.loop.service.test_process import until
from tests.loop.web.worker import FakeWorker


@pytest.fixture
def address(empty: Project) -> Iterator[tuple[str, int]]:
    listening = socket.create_server(("127.0.0.1", 0), backlog=128)
    pages = bounded.server(build_app(FakeParts(empty), FakeWorker()))
    thread = threading.Thread(target=pages.run, args=([listening],))
    thread.start()
    yield ("127.0.0.1", listening.getsockname()[1])
    pages.should_exit = pages.force_exit = True
    thread.join(20)
    listening.close()


def health(address: tuple[str, int]) -> httpx.Response:
    return httpx.get(f"http://127.0.0.1:{address[1]}/healthz", trust_env=False, timeout=5)


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def ended(connection: socket.socket, within_s: float) -> bool:
    connection.settimeout(within_s)
    try:
        while connection.recv(65536):
            pass
    except TimeoutError:
        return False
    except ConnectionResetError:
        return True
    return True


def test_many_half_open_connections_keep_nobody_out(
    address: tuple[str, int], caplog: pytest.LogCaptureFixture
) -> None:
    assert health(address).status_code == 200
    with ExitStack() as held, caplog.at_level(logging.INFO):
        before = descriptors()
        for _ in range(300):
            held.enter_context(socket.create_connection(address)).sendall(
                b"GET /healthz HTTP/1.1\r\nHost: lo"
            )
        until(lambda: descriptors() - before - 300 <= bounded.MOST)
        begun = time.monotonic()
        assert health(address).status_code == 200
        assert time.monotonic() - begun < 3
    assert [record for record in caplog.records if record.name.startswith(("uvicorn", "asyncio"))] == []


def test_what_is_asked_slowly_is_ended(address: tuple[str, int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounded, "REQUEST_S", 0.5)
    for beginning in (b"", b"GET / HTTP/1.1\r\nHost: localhost\r\n", b"GET / HTTP/1.1\r\nX: "):
        with socket.create_connection(address) as slow:
            slow.sendall(beginning)
            assert ended(slow, 3), beginning


def test_one_who_reads_slowly_is_ended(address: tuple[str, int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounded, "ANSWER_S", 0.7)
    with socket.create_connection(address) as slow:
        slow.sendall(b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000\r\n\r\nx")
        assert ended(slow, 3)


def test_a_header_without_end_is_refused(address: tuple[str, int]) -> None:
    with socket.create_connection(address) as greedy:
        greedy.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"a" * (2 * bounded.HEADER_BYTES))
        assert greedy.recv(100).startswith(b"HTTP/1.1 400")


def test_noise_is_refused_and_leaves_no_line_in_the_log(
    address: tuple[str, int], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        for _ in range(20):
            with socket.create_connection(address) as noisy:
                noisy.sendall(b"\x16\x03\x01 no HTTP \r\n\r\n")
                assert ended(noisy, 3)
    assert [record for record in caplog.records if record.name.startswith("uvicorn")] == []


def test_a_connection_is_for_one_request(address: tuple[str, int]) -> None:
    assert health(address).headers["connection"] == "close"
