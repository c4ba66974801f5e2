"""python -m benchmarks.frame_push: many cameras push frames over HTTP to the real server, while the real
ingest takes them in. What was accepted must be stored, each once.

By default 50 cameras send a JPEG of 1280x720 a second for ten minutes. The cameras are threads of this
process; server and ingest are another one, as under `fieldloop serve`.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import os
import resource
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from PIL import Image

from db.engine import read
from db.frames import frame_counts, known_hashes
from loop.base.errors import ConfigError
from loop.ingest.ingest import ingest
from loop.project.project import CONFIG_NAME, open_project
from loop.project.wiring import Parts
from loop.web.app import build_app
from loop.web.bounded import server

SIZE = (1280, 720)
PICTURES = 40
"""That are made; each frame is one of them with a number of its own behind its last byte but two."""
INGEST_EVERY_S = 10.0
WAIT_S = 60.0
PAGE = Path(__file__).parent / "results" / "frame_push.json"


@dataclass(frozen=True)
class Sent:
    """One frame as its camera saw it. seconds: until the last answer. tries: requests that it took."""

    sha256: str
    status: int
    seconds: float
    tries: int


@dataclass(frozen=True)
class Result:
    """What came of a run. ms: of one push, its answer read. late: frames that were sent later than a
    second after their time. left: accepted frames that are not stored; it must be 0.
    cpu_ms_server, cpu_ms_cameras: processor time for each frame, of server with ingest, and of the cameras.
    """

    cameras: int
    seconds: float
    sent: int
    accepted: int
    refused: int
    again: int
    stored: int
    left: int
    late: int
    ms_median: float
    ms_p95: float
    ms_p99: float
    ms_most: float
    frames_per_s: float
    cpu_ms_server: float
    cpu_ms_cameras: float
    bytes_of_a_frame: int
    cores: int


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("--cameras", type=int, default=50)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--every", type=float, default=1.0, help="seconds between two frames of a camera")
    parser.add_argument("--keep", action="store_true", help="write the result beside the others")
    parser.add_argument("--serve", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        serve(options.serve)
        return
    with tempfile.TemporaryDirectory() as folder:
        result = measure(Path(folder), options.cameras, options.minutes * 60, options.every)
    print(json.dumps(asdict(result), indent=2))
    if options.keep:
        PAGE.write_text(json.dumps(asdict(result), indent=2) + "\n", encoding="utf-8")
    sys.exit(int(result.left > 0 or result.refused > 0))


def measure(folder: Path, cameras: int, seconds: float, every_s: float) -> Result:
    """One run in an empty project below `folder`."""
    (folder / "incoming").mkdir()
    (folder / CONFIG_NAME).write_text("frames: {path: incoming}\n", encoding="utf-8")
    project = open_project(folder, new=True)
    pictures = [_picture(number) for number in range(PICTURES)]
    before = _cpu_s(resource.RUSAGE_SELF), _cpu_s(resource.RUSAGE_CHILDREN)
    with _running(folder) as url, ThreadPoolExecutor(cameras) as pool:
        begun = time.monotonic()
        runs = [
            pool.submit(_camera, url, number, pictures, begun, seconds, every_s) for number in range(cameras)
        ]
        sent = [frame for run in runs for frame in run.result()]
        took = time.monotonic() - begun
        accepted = {frame.sha256 for frame in sent if frame.status in (200, 201)}
        stored = _wait_until_stored(folder, accepted)
    with read(project.engine) as session:
        count = frame_counts(session)["production"]
    project.engine.dispose()
    ms = np.sort([frame.seconds * 1000 for frame in sent])
    median, p95, p99 = (float(np.percentile(ms, share)) for share in (50, 95, 99))
    return Result(
        cameras=cameras,
        seconds=round(took, 1),
        sent=len(sent),
        accepted=len(accepted),
        refused=sum(frame.status not in (200, 201) for frame in sent),
        again=sum(frame.tries - 1 for frame in sent),
        stored=count,
        left=len(accepted - stored),
        late=sum(frame.seconds > 1 for frame in sent),
        ms_median=round(median, 1),
        ms_p95=round(p95, 1),
        ms_p99=round(p99, 1),
        ms_most=round(float(ms[-1]), 1),
        frames_per_s=round(len(sent) / took, 1),
        cpu_ms_server=round(1000 * (_cpu_s(resource.RUSAGE_CHILDREN) - before[1]) / len(sent), 1),
        cpu_ms_cameras=round(1000 * (_cpu_s(resource.RUSAGE_SELF) - before[0]) / len(sent), 1),
        bytes_of_a_frame=len(pictures[0]),
        cores=os.cpu_count() or 0,
    )


def _cpu_s(whose: int) -> float:
    used = resource.getrusage(whose)
    return used.ru_utime + used.ru_stime


def serve(folder: Path) -> None:
    """The server and the ingest of the project in `folder`, until this process is ended."""
    parts = Parts(open_project(folder), watching=True)
    listening = socket.create_server(("127.0.0.1", 0), backlog=128)
    pages = server(build_app(parts, _Idle()))
    threading.Thread(target=pages.run, args=([listening],), daemon=True).start()
    print(listening.getsockname()[1], flush=True)
    while True:
        begun = time.monotonic()
        ingest(parts, _quiet)
        time.sleep(max(0.0, INGEST_EVERY_S - (time.monotonic() - begun)))


def _camera(
    url: str, number: int, pictures: list[bytes], begun: float, seconds: float, every_s: float
) -> list[Sent]:
    """Its frames; those that were due while an earlier one was on its way follow at once."""
    sent: list[Sent] = []
    offset = every_s * number / 50
    with httpx.Client(base_url=url, trust_env=False, timeout=60) as client:
        for frame in range(int(seconds / every_s)):
            due = begun + offset + frame * every_s
            time.sleep(max(0.0, due - time.monotonic()))
            data = pictures[(number + frame) % len(pictures)]
            sent.append(_push(client, number, _own(data, number, frame), due))
    return sent


def _push(client: httpx.Client, camera: int, data: bytes, due: float) -> Sent:
    sha256 = hashlib.sha256(data).hexdigest()
    status, tries = 0, 0
    while tries < 5 and status not in (200, 201):
        tries += 1
        try:
            said = {"camera": f"camera-{camera}", "sha256": sha256}
            status = client.post("/api/frames", params=said, content=data).status_code
        except httpx.HTTPError:
            time.sleep(0.2)
    return Sent(sha256, status, time.monotonic() - due, tries)


def _own(data: bytes, camera: int, frame: int) -> bytes:
    """The same picture as a file of its own: a JPEG comment behind its first marker."""
    text = f"camera {camera} frame {frame}".encode()
    return data[:2] + b"\xff\xfe" + (len(text) + 2).to_bytes(2, "big") + text + data[2:]


def _picture(number: int) -> bytes:
    random = np.random.default_rng(number)
    small = random.integers(0, 256, (SIZE[1] // 16, SIZE[0] // 16, 3), np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(small).resize(SIZE, Image.Resampling.BICUBIC).save(buffer, "JPEG", quality=85)
    return buffer.getvalue()


@contextmanager
def _running(folder: Path) -> Iterator[str]:
    command = [sys.executable, "-m", "benchmarks.frame_push", "--serve", str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield f"http://127.0.0.1:{int(process.stdout.readline())}"
        finally:
            process.kill()


def _wait_until_stored(folder: Path, accepted: set[str]) -> set[str]:
    """Those of the accepted frames that are stored, once all are or WAIT_S passed without a new one."""
    project = open_project(folder)
    stored: set[str] = set()
    since = time.monotonic()
    while len(stored) < len(accepted) and time.monotonic() - since < WAIT_S:
        time.sleep(1)
        with read(project.engine) as session:
            found = known_hashes(session, accepted)
        if len(found) > len(stored):
            stored, since = found, time.monotonic()
    project.engine.dispose()
    return stored


class _Idle:
    """A service that does nothing else."""

    def health(self) -> dict[str, Any]:
        return {"ok": True, "problems": [], "notes": [], "jobs": {}, "label_studio": ""}

    def ready(self) -> dict[str, str]:
        return {}

    def run_now(self, job: str) -> None:
        raise ConfigError(f"job: expected none, got {job!r}")

    pause = resume = run_now

    def take_up(self) -> None:
        raise ConfigError("expected no other work in a benchmark, got some; leave it out")

    def doing(self) -> dict[int, str]:
        return {}


def _quiet(done: int, total: int, what: str) -> None:
    """`Progress`: nobody waits for a word."""


if __name__ == "__main__":
    main()
