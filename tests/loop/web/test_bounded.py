"""Strangers who open many connections, or ask slowly or much, keep nobody out and fill nothing."""

from __future__ import annotations

import logging
import re
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
        form = b"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 100000\r\n\r\nx"
        slow.sendall(b"POST / HTTP/1.1\r\nHost: localhost\r\n" + form)
        assert ended(slow, 3)


def test_one_who_sends_slowly_what_nobody_reads_is_ended(
    address: tuple[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bounded, "IDLE_S", 0.7)
    monkeypatch.setattr(bounded, "REQUEST_S", 0.7)
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


def test_a_page_and_all_its_pictures_need_one_connection(address: tuple[str, int]) -> None:
    ask = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
    with socket.create_connection(address) as one:
        for _ in range(60):
            one.sendall(ask)
            assert answer_of(one).startswith(b"HTTP/1.1 200")
        one.sendall(ask * 3)
        assert sum(answer_of(one).startswith(b"HTTP/1.1 200") for _ in range(3)) == 3


def test_who_asks_nothing_more_is_ended(address: tuple[str, int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounded, "IDLE_S", 0.5)
    monkeypatch.setattr(bounded, "REQUEST_S", 0.5)
    for then in (b"", b"GET /healthz HTTP/1.1\r\n", b"GET /healthz HTTP/1.1\r\nX: "):
        with socket.create_connection(address) as idle:
            idle.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert answer_of(idle).startswith(b"HTTP/1.1 200")
            idle.sendall(then)
            assert ended(idle, 3), then


def test_many_idle_connections_keep_nobody_out(address: tuple[str, int]) -> None:
    """Each has had an answer, and is kept open."""
    with ExitStack() as held:
        for _ in range(3 * bounded.MOST):
            kept = held.enter_context(socket.create_connection(address))
            kept.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert answer_of(kept).startswith(b"HTTP/1.1 200")
        begun = time.monotonic()
        assert health(address).status_code == 200
        assert time.monotonic() - begun < 3
        assert ended(held.enter_context(socket.create_connection(address)), 0.1) is False


def test_a_body_that_is_too_large_is_refused_and_the_next_request_answered(address: tuple[str, int]) -> None:
    with socket.create_connection(address) as large:
        head = b"POST /sign-in HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1500000\r\n\r\n"
        large.sendall(head)
        assert answer_of(large).startswith(b"HTTP/1.1 413")
        large.sendall(b"x" * 1_500_000 + b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert answer_of(large).startswith(b"HTTP/1.1 200")


def answer_of(connection: socket.socket) -> bytes:
    """One whole answer, not a byte more."""
    connection.settimeout(5)
    came = b""
    while not came.endswith(b"\r\n\r\n"):
        byte = connection.recv(1)
        assert byte, came
        came += byte
    length = re.search(rb"content-length: (\d+)", came)
    assert length is not None
    left = int(length[1])
    while left:
        part = connection.recv(left)
        came, left = came + part, left - len(part)
    return came
