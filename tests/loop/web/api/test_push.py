"""Frames pushed over HTTP to the real server, and what the real ingest makes of them."""

from __future__ import annotations

import errno
import hashlib
import json
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from starlette.testclient import TestClient
from starlette.types import ASGIApp

from connectors import pushed
from examples import push_frames
from loop.ingest.ingest import ingest
from loop.project.project import Project
from loop.web import bounded
from loop.web.api import push
from tests.fakes import FakeParts, make_project, quiet
from tests.loop.ingest.test_inbox import files, picture, production, watched
from tests.loop.web.worker import client

CAMERAS, FRAMES = 50, 6
ASK = "/api/frames?camera=gate&site=hall&captured_at=2026-05-04T08:30:00%2B02:00"


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    made = watched(tmp_path)
    yield made
    made.engine.dispose()


@pytest.fixture
def asked(project: Project) -> TestClient:
    return client(project)


@contextmanager
def served(app: ASGIApp) -> Iterator[int]:
    """The port at which the real server answers for this app."""
    listening = socket.create_server(("127.0.0.1", 0), backlog=128)
    pages = bounded.server(app)
    thread = threading.Thread(target=pages.run, args=([listening],))
    thread.start()
    yield listening.getsockname()[1]
    pages.should_exit = pages.force_exit = True
    thread.join(20)
    listening.close()


@pytest.fixture
def port(project: Project) -> Iterator[int]:
    with served(client(project).app) as port:
        yield port


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def problem(answer: httpx.Response, status: int, kind: str) -> dict[str, str]:
    body: dict[str, str] = answer.json()
    assert (answer.status_code, body["type"]) == (status, f"urn:fieldloop:problem:{kind}"), body
    assert answer.headers["content-type"] == "application/problem+json"
    assert body["detail"]
    return body


def test_a_frame_is_pushed_stored_and_found(project: Project, asked: TestClient) -> None:
    data = picture(1)
    first = asked.post(ASK, content=data, headers={"X-Content-SHA256": digest(data)})
    assert (first.status_code, first.json()["state"], first.json()["new"]) == (201, "waiting", True)
    ingest(FakeParts(project), quiet)
    (row,) = production(project)
    assert (row.camera, row.site) == ("gate", "hall")
    assert row.captured_at is not None
    assert row.captured_at.isoformat() == "2026-05-04T06:30:00+00:00"
    found = asked.get(f"/api/frames/by-hash/{digest(data)}")
    assert (found.status_code, found.json()["state"], found.json()["seq"]) == (200, "stored", row.seq)
    assert asked.head(f"/api/frames/by-hash/{digest(data)}").status_code == 200


def test_fifty_cameras_push_at_once_and_all_that_is_accepted_is_stored(project: Project, port: int) -> None:
    def camera(number: int) -> list[str]:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=60) as client:
            return [pushed_by(client, number, frame) for frame in range(FRAMES)]

    def pushed_by(client: httpx.Client, number: int, frame: int) -> str:
        data = picture(1000 * number + frame)
        answer = client.post(
            "/api/frames", params={"camera": f"cam-{number}", "sha256": digest(data)}, content=data
        )
        assert answer.status_code == 201, answer.text
        return str(answer.json()["sha256"])

    with ThreadPoolExecutor(CAMERAS) as pool:
        accepted = [sha256 for sent in pool.map(camera, range(CAMERAS)) for sha256 in sent]
    assert len(set(accepted)) == CAMERAS * FRAMES
    ingest(FakeParts(project), quiet)
    rows = production(project)
    assert {row.content_hash for row in rows} == set(accepted)
    assert {row.camera for row in rows} == {f"cam-{number}" for number in range(CAMERAS)}


def test_a_frame_that_is_known_is_not_asked_for(project: Project, port: int) -> None:
    data = picture(2)
    head = (
        f"POST /api/frames?sha256={digest(data)} HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\n"
        f"Content-Length: {len(data)}\r\n\r\n"
    ).encode()
    with socket.create_connection(("127.0.0.1", port), timeout=10) as new:
        new.sendall(head)
        assert new.recv(100).startswith(b"HTTP/1.1 100")
        new.sendall(data)
        assert new.recv(100).startswith(b"HTTP/1.1 201")
    with socket.create_connection(("127.0.0.1", port), timeout=10) as again:
        again.sendall(head)
        assert again.recv(100).startswith(b"HTTP/1.1 200")


def test_who_sends_a_known_frame_all_the_same_reads_the_answer(port: int) -> None:
    data = picture(3, size=(1600, 1200), kind="BMP")
    url = f"http://127.0.0.1:{port}/api/frames?sha256={digest(data)}"
    assert httpx.post(url, content=data, trust_env=False).status_code == 201
    for _ in range(3):
        assert httpx.post(url, content=data, trust_env=False).json()["new"] is False


def test_other_bytes_than_announced_are_refused(project: Project, asked: TestClient) -> None:
    answer = asked.post(f"/api/frames?sha256={'0' * 64}", content=picture(4))
    body = problem(answer, 422, "hash-differs")
    assert body["expected"] == "0" * 64
    assert body["next"] == "send the frame again"
    assert files(project) == []


def test_what_is_no_frame_is_refused(project: Project, asked: TestClient) -> None:
    body = problem(asked.post(ASK, content=b"no image"), 422, "no-frame")
    assert body["got"] == "a file that begins with b'no image'"
    problem(asked.post(ASK), 422, "no-frame")
    assert files(project) == []


@pytest.mark.parametrize(
    ("query", "place"),
    [
        ("captured_at=2026-05-04T08:30:00", "captured_at: expected"),
        ("captured_at=yesterday", "captured_at: expected"),
        ("captured_at=1970-01-01T00:00:00Z", "captured_at: expected a time since 2002"),
        ("sha256=abc", "sha256: expected"),
        (f"camera={'a' * 121}", "camera: expected"),
    ],
)
def test_what_is_said_of_a_frame_is_checked(asked: TestClient, query: str, place: str) -> None:
    body = problem(asked.post(f"/api/frames?{query}", content=picture(5)), 422, "invalid")
    assert body["detail"].startswith(place)
    assert body["expected"]
    assert body["got"]


def test_bytes_are_bounded_announced_or_not(tmp_path: Path) -> None:
    project = watched(tmp_path, "frames.max_bytes=2000")
    asked = client(project)
    data = picture(6)
    assert len(data) > 2000
    problem(asked.post(ASK, content=data), 413, "too-large")
    problem(asked.post(ASK, content=iter([data[:1000], data[1000:]])), 413, "too-large")
    assert files(project) == []
    project.engine.dispose()


def test_who_comes_when_too_much_is_on_its_way_is_asked_to_wait(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(push, "HELD_BYTES", 5000)
    asked = client(project)
    large, small = picture(7, kind="BMP"), picture(8)
    answer = asked.post(ASK, content=large)
    problem(answer, 503, "busy")
    assert answer.headers["retry-after"] == "1"
    for _ in range(3):
        assert asked.post(ASK, content=small).status_code in {200, 201}


def test_a_full_disk_is_said_and_nothing_is_left(
    project: Project, asked: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path, data: bytes | str) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    with monkeypatch.context() as patched:
        patched.setattr(pushed, "write_atomically", full)
        body = problem(asked.post(ASK, content=picture(9)), 507, "disk-full")
        assert body["got"] == "No space left on device"
    assert files(project) == []
    assert asked.post(ASK, content=picture(9)).status_code == 201


def test_without_a_folder_to_watch_it_is_refused(tmp_path: Path) -> None:
    project = make_project(tmp_path / "project", overrides=["frames.path=film.mp4"])
    asked = client(project)
    body = problem(asked.post(ASK, content=picture(10)), 409, "no-folder")
    assert "set it to a folder" in body["next"]
    project.engine.dispose()


def test_a_hash_that_is_not_known_is_said(asked: TestClient) -> None:
    problem(asked.get(f"/api/frames/by-hash/{'0' * 64}"), 404, "not-known")
    problem(asked.get("/api/frames/by-hash/..%2F..%2Fetc"), 404, "not-found")
    problem(asked.get("/api/frames/by-hash/xyz"), 404, "not-known")


def test_what_the_api_does_not_know_is_said(asked: TestClient) -> None:
    assert "see /api/openapi.json" in problem(asked.get("/api/nothing"), 404, "not-found")["next"]
    problem(asked.delete("/api/frames"), 405, "method-not-allowed")


def test_the_description_needs_nothing_from_outside(asked: TestClient) -> None:
    schema = asked.get("/api/openapi.json").json()
    assert schema["servers"] == [{"url": "/api"}]
    assert "application/problem+json" in schema["paths"]["/frames"]["post"]["responses"]["default"]["content"]
    for path in ("/api/docs", "/api/redoc"):
        problem(asked.get(path), 404, "not-found")


def test_the_camera_script_sends_each_picture_once(project: Project, port: int, tmp_path: Path) -> None:
    folder = tmp_path / "gate"
    folder.mkdir()
    for number in range(3):
        (folder / f"{number}.jpg").write_bytes(picture(20 + number))
    script = [sys.executable, "examples/push_frames.py", f"http://127.0.0.1:{port}", str(folder)]

    def run() -> tuple[int, dict[str, int], str]:
        ended = subprocess.run([*script, "--camera", "gate"], capture_output=True, text=True, timeout=60)
        return ended.returncode, json.loads(ended.stdout), ended.stderr

    assert run() == (0, {"sent": 3}, "")
    (folder / "9.jpg").write_bytes(b"no picture")
    code, counts, said = run()
    assert (code, counts) == (1, {"known": 3, "refused": 1})
    assert "9.jpg: expected an image" in said
    ingest(FakeParts(project), quiet)
    rows = production(project)
    assert {row.camera for row in rows} == {"gate"}
    assert len(rows) == 3
    assert all(row.captured_at for row in rows)


def test_the_camera_script_says_where_nobody_answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(push_frames, "TRIES", 1)
    (tmp_path / "a.jpg").write_bytes(picture(30))
    with pytest.raises(SystemExit, match=r"expected http://127.0.0.1:1/.* run this again"):
        push_frames.main(["http://127.0.0.1:1", str(tmp_path)])


@pytest.mark.parametrize("query", ["cam=gate", "camera=a&camera=b", "camera=a&Site=b"])
def test_a_misspelled_key_is_refused_before_its_name_is_lost(asked: TestClient, query: str) -> None:
    refused = problem(asked.post(f"/api/frames?{query}", content=picture(3)), 422, "invalid")
    assert refused["next"] == "correct it"
    assert asked.get(f"/api/frames/by-hash/{digest(picture(3))}").status_code == 404


def test_a_picture_that_is_refused_says_what_to_do(asked: TestClient) -> None:
    for body in (b"", b"hello", picture(4)[:200]):
        assert problem(asked.post(ASK, content=body), 422, "no-frame")["next"]


def test_a_camera_that_hangs_up_is_no_error(
    project: Project, port: int, caplog: pytest.LogCaptureFixture
) -> None:
    for kind in ("application/octet-stream", "application/x-www-form-urlencoded"):
        with socket.create_connection(("127.0.0.1", port), 10) as camera:
            head = f"POST /api/frames HTTP/1.1\r\nHost: localhost\r\nContent-Type: {kind}\r\n"
            camera.sendall(f"{head}Content-Length: 1000\r\n\r\n12345".encode())
        with socket.create_connection(("127.0.0.1", port), 10) as browser:
            head = f"POST /rounds HTTP/1.1\r\nHost: localhost\r\nContent-Type: {kind}\r\n"
            browser.sendall(f"{head}Content-Length: 1000\r\n\r\ncsrf=".encode())
    assert httpx.get(f"http://127.0.0.1:{port}/healthz").status_code == 200
    assert [record.message for record in caplog.records if record.levelname == "ERROR"] == []
