"""A real HTTP proxy before a real server that fails on purpose: what it does to requests is drawn from a
seed, and counted by kind.
"""

from __future__ import annotations

import random
import socket
import struct
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from enum import StrEnum
from http.client import HTTPConnection, HTTPResponse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

HOP = {"connection", "transfer-encoding", "content-length", "keep-alive"}


class Fault(StrEnum):
    """What the proxy does instead of passing request and answer on."""

    UNAUTHORIZED = "401"
    TOO_MANY = "429 with Retry-After"
    INTERNAL = "500"
    BAD_GATEWAY = "502"
    UNAVAILABLE = "503"
    RESET = "connection reset before the server"
    LOST = "answer lost after the server has done it"
    CUT = "answer cut in the middle"
    SHORT = "whole answer of half a body"
    TIMEOUT = "answer after the client has given up"


REFUSALS = (Fault.UNAUTHORIZED, Fault.TOO_MANY, Fault.INTERNAL, Fault.BAD_GATEWAY, Fault.UNAVAILABLE)
WEIGHTS = dict.fromkeys(Fault, 3) | {Fault.TIMEOUT: 1, Fault.LOST: 6}
"""Timeouts cost seconds each; a lost answer is what does harm."""


class FaultyProxy:
    """rate: share of reads with a fault; of what changes something it is twice as many.
    hold_s: how long an answer is held back for a timeout.

    injected: how often, by kind. asked: requests in all. writes: faults at requests that change something.
    """

    def __init__(self, upstream: str, seed: int, rate: float, hold_s: float) -> None:
        self.upstream, self.rate, self.hold_s = upstream, rate, hold_s
        self.injected: Counter[Fault] = Counter()
        self.writes: Counter[Fault] = Counter()
        self.asked = 0
        self._random, self._lock = random.Random(seed), threading.Lock()

    @property
    def faults(self) -> int:
        return self.injected.total()

    def draw(self, method: str) -> Fault | None:
        """What happens to the next request."""
        with self._lock:
            self.asked += 1
            if self._random.random() >= self.rate * (1 + (method != "GET")):
                return None
            (fault,) = self._random.choices([*WEIGHTS], [*WEIGHTS.values()])
            self.injected[fault] += 1
            self.writes[fault] += method != "GET"
            return fault

    @contextmanager
    def listening(self) -> Iterator[str]:
        """Its address, as long as it listens."""
        handler = type("Handler", (_Handler,), {"proxy": self})
        server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            server.server_close()


class _Handler(BaseHTTPRequestHandler):
    proxy: FaultyProxy

    def handle_any(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        fault = self.proxy.draw(self.command)
        if fault in REFUSALS:
            more = {"Retry-After": "1"} if fault is Fault.TOO_MANY else {}
            self._answer(int(fault[:3]), {"Content-Type": "text/html", **more}, b"<html>refused</html>")
            return
        if fault is Fault.RESET:
            self._reset()
            return
        status, headers, data = self._passed_on(body)
        if fault is Fault.LOST:
            self._reset()
            return
        if fault is Fault.TIMEOUT:
            time.sleep(self.proxy.hold_s)
        half = data[: len(data) // 2] if fault in (Fault.CUT, Fault.SHORT) else data
        self._answer(status, headers, half, len(data) if fault is Fault.CUT else len(half))

    do_GET = do_POST = do_PATCH = do_PUT = do_DELETE = handle_any

    def log_message(self, format: str, *args: object) -> None:
        """Nothing is printed."""

    def _passed_on(self, body: bytes) -> tuple[int, dict[str, str], bytes]:
        connection = HTTPConnection(urlsplit(self.proxy.upstream).netloc, timeout=120)
        headers = {name: value for name, value in self.headers.items() if name.lower() not in HOP}
        connection.request(self.command, self.path, body, {**headers, "Accept-Encoding": "identity"})
        answer: HTTPResponse = connection.getresponse()
        data = answer.read()
        kept = {name: value for name, value in answer.getheaders() if name.lower() not in HOP}
        connection.close()
        return answer.status, kept, data

    def _answer(
        self, status: int, headers: Mapping[str, str], data: bytes, length: int | None = None
    ) -> None:
        try:
            self.send_response_only(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(data) if length is None else length))
            self.send_header("Connection", "close")
            self.end_headers()
            self.wfile.write(data)
        except OSError:
            pass  # the client has given up
        self.close_connection = True

    def _reset(self) -> None:
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()
        self.close_connection = True
        self.rfile, self.wfile = _Nothing(), _Nothing()  # type: ignore[assignment]


class _Nothing:
    """A closed end."""

    closed = True

    def flush(self) -> None: ...
    def close(self) -> None: ...
    def readline(self, limit: int = 0) -> bytes:
        return b""
