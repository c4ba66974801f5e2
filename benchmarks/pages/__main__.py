"""How long every page takes at a million frames, and how large it is, over real HTTP.

    python -m benchmarks.pages --work /data/pages [--size 1000000] [--times 20]
    python -m benchmarks.pages --report

The project is made once in --work, in minutes. Pages are asked one after another from a server in a process
of its own, first cold, then again and again. --report writes docs/pages.md alone.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import uvicorn
from starlette.routing import BaseRoute, Route

from benchmarks.markdown import table
from benchmarks.pages.world import addresses, app_of, opened, project_of
from loop.insights.warming import warm

RESULTS = Path(__file__).parents[1] / "results" / "pages.json"
MAP = RESULTS.with_name("map.json")
PUSH = RESULTS.with_name("frame_push.json")
DOCUMENT = Path(__file__).parents[2] / "docs" / "pages.md"
BEGUN_WITH = ("/", "/frames", "/frames?near=1000000", "/rounds/start", "/map")
"""Addresses that are each the first to be asked for of fresh processes."""
STARTS = 3
MOST_S, MOST_BYTES = 0.3, 60_000
SKIPPED = re.compile(r"/static|/api/|/sign-out|/metrics")
INTRO = """# How quick the pages are

`python -m benchmarks.pages --work DIR` measured this and wrote this page; `--report` writes it again.

A project of {size:,} production frames: 50 cameras over a year, vectors of 512 dimensions, {labels} labels.
The server ran in a process of its own with one thread of computing, on a machine of {cores} cores
(load {load:.1f}, this included). Each address was asked {times} times, one after another, over HTTP
from the same machine. *CPU* is what the server computed for one answer, which work beside it changes little;
the other times are those of a clock. *First* is the first time after the start.
Pictures of the project come from a small pool.

Aims: p95 at most {most} ms, HTML at most {bytes} kB. {held} of {all} addresses are within {most} ms, {small}
of {pages} pages within {bytes} kB.{over}

By what they computed alone, {alone} of {all} would be within {most} ms on a core of their own.

"""
STARTED = """
## The first page after a start

Of {times} processes each, begun with nothing of the project in memory. A service reads ahead what pages
read of all frames before it listens; *ready* is from its begin until then, imports included.

"""
MAPPED = """
## The map

`python -m benchmarks.pages.space --work DIR` measured this in a Chromium without a graphics card: {points:,}
points, {cores} cores (load {load:.1f}). A hover lasts from the movement of the pointer to the decoded picture
of a frame that was not looked at before; the aim is 50 ms.

| what | how long |
| --- | --- |
| hover, p50 of {hovers} | {hover} |
| of that, until the nearest point is known | {nearest} |
| drawing all points after a step of zoom | {draw} |
| the page with its points, from its address | {ready:.1f} s |
| the map made anew, in the background | {made:.0f} s |
"""
PUSHED = """
## Frames that cameras push

`python -m benchmarks.frame_push --keep` measured this: {cameras} cameras for {minutes:.0f} minutes, a frame
of {kb:.0f} kB a second each. Cameras, server and ingest shared a machine of {cores} cores.

"""
PUSH_HEAD = ("sent", "accepted", "stored", "lost", "sent again", "p50 ms", "p95 ms", "longest ms", "over 1 s")
HEAD = ("page", "address", "CPU ms", "p50 ms", "p95 ms", "first ms", "kB", "status")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--work", type=Path, default=Path("runs/pages"), help="where the project is made")
    parser.add_argument("--size", type=int, default=1_000_000)
    parser.add_argument("--times", type=int, default=20)
    parser.add_argument("--report", action="store_true", help="write the page from the results there are")
    parser.add_argument("--serve", type=int, default=0, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.serve:
        return serve(given.work, given.serve)
    if not given.report:
        results = measure(project_of(given.work, given.size), given.size, given.times)
        RESULTS.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    print(publish())
    return None


def publish() -> Path:
    """Writes the page from the results there are; where it is."""
    pages, of_map, of_push = (_kept(path) for path in (RESULTS, MAP, PUSH))
    text = document(pages or {}, of_map) + ("" if of_push is None else push_section(of_push))
    DOCUMENT.write_text(text, encoding="utf-8")
    return DOCUMENT


def serve(folder: Path, port: int) -> None:
    """The pages, until the process is ended; begun as `fieldloop serve` begins them."""
    parts = opened(folder)
    warm(parts)
    uvicorn.run(app_of(parts), host="127.0.0.1", port=port, log_level="error")


def measure(folder: Path, size: int, times: int) -> dict[str, Any]:
    """Every address, cold and warm."""
    parts = opened(folder)
    asked = plain_pages(app_of(parts).routes) | addresses(parts)
    made = json.loads((folder / "made.json").read_text(encoding="utf-8"))
    parts.project.engine.dispose()
    with served(folder) as (client, server):
        found = {name: timed(client, address, times, server.pid) for name, address in asked.items()}
    return {
        "size": size,
        "times": times,
        "labels": made["labels"],
        "cores": os.cpu_count(),
        "load": os.getloadavg()[0],
        "pages": found,
        "starts": {address: started(folder, address, STARTS) for address in BEGUN_WITH},
    }


@contextmanager
def served(folder: Path) -> Iterator[tuple[httpx.Client, subprocess.Popen[bytes]]]:
    """A server in a process of its own, and a client of it; both end with the block."""
    port = _free_port()
    command = [sys.executable, "-m", "benchmarks.pages", "--work", str(folder), "--serve", str(port)]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    server = subprocess.Popen(command, env=environment, start_new_session=True)
    try:
        with httpx.Client(base_url=f"http://localhost:{port}", timeout=120) as client:
            _await(client, server)
            client.get("/static/style.css")
            yield client, server
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait()


def started(folder: Path, address: str, times: int) -> dict[str, list[float]]:
    """Of so many fresh processes, seconds from their begin until they answer, and of the first page that
    is asked for. Nothing of the project is in memory before.
    """
    ready, first = [], []
    for _ in range(times):
        forgotten(folder)
        begun = time.perf_counter()
        with served(folder) as (client, _):
            ready.append(time.perf_counter() - begun)
            asked = time.perf_counter()
            client.get(address).raise_for_status()
            first.append(time.perf_counter() - asked)
    print(f"{1000 * max(first):8.0f} ms  first page of {times} fresh processes  {address}", flush=True)
    return {"ready": ready, "first": first}


def forgotten(folder: Path) -> None:
    """Asks the system to drop what it keeps of the project's files in memory."""
    for file in folder.rglob("*"):
        if file.is_file():
            handle = os.open(file, os.O_RDONLY)
            os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)
            os.close(handle)


def plain_pages(routes: list[BaseRoute]) -> dict[str, str]:
    """Every address without a parameter that can be looked at, by itself."""
    paths = [route.path for route in routes if isinstance(route, Route) and "GET" in (route.methods or ())]
    return {path: path for path in paths if "{" not in path and not SKIPPED.match(path)}


def timed(client: httpx.Client, address: str, times: int, pid: int) -> dict[str, Any]:
    """Seconds of each answer but the first, the first, and what it was. pid: of the server."""
    took, used = [], 0.0
    for place in range(times + 1):
        if place == 1:
            used = cpu_of(pid)
        begun = time.perf_counter()
        answer = client.get(address)
        took.append(time.perf_counter() - begun)
    later = np.array(took[1:])
    shown = {
        "address": address,
        "p50": float(np.quantile(later, 0.5)),
        "p95": float(np.quantile(later, 0.95)),
        "first": took[0],
        "cpu": (cpu_of(pid) - used) / times,
        "bytes": len(answer.content),
        "type": answer.headers.get("content-type", "").split(";")[0],
        "status": answer.status_code,
    }
    print(
        f"{shown['p95'] * 1000:8.0f} ms  {shown['bytes']:>9,} bytes  {answer.status_code}  {address}",
        flush=True,
    )
    return shown


def cpu_of(pid: int) -> float:
    """Seconds of CPU that a process took so far."""
    user, system = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


def document(results: dict[str, Any], of_map: dict[str, Any] | None = None) -> str:
    """Markdown. of_map: what `benchmarks.pages.space` found."""
    pages = results["pages"]
    html = [one for one in pages.values() if one["type"] == "text/html"]
    slow = [name for name, one in pages.items() if one["p95"] > MOST_S]
    large = [name for name, one in pages.items() if one["type"] == "text/html" and one["bytes"] > MOST_BYTES]
    over = f" Over an aim: {', '.join(dict.fromkeys([*slow, *large]))}." if slow or large else ""
    intro = INTRO.format(
        **{key: results[key] for key in ("size", "times", "labels", "cores", "load")},
        most=round(MOST_S * 1000),
        bytes=MOST_BYTES // 1000,
        held=len(pages) - len(slow),
        alone=sum(one["cpu"] <= MOST_S for one in pages.values()),
        all=len(pages),
        small=len(html) - len(large),
        pages=len(html),
        over=over,
    )
    rows = [
        (
            name,
            f"`{one['address'][:70]}`",
            *(f"{1000 * one[key]:.0f}" for key in ("cpu", "p50", "p95", "first")),
            f"{one['bytes'] / 1000:.1f}",
            one["status"],
        )
        for name, one in pages.items()
    ]
    starts = [
        (f"`{address}`", *(f"{1000 * max(told[key]):.0f}" for key in ("first", "ready")))
        for address, told in results["starts"].items()
    ]
    begun = STARTED.format(times=STARTS) + table(("first page", "longest ms", "ready ms"), starts)
    return intro + table(HEAD, rows) + begun + ("" if of_map is None else map_section(of_map))


def push_section(found: dict[str, Any]) -> str:
    """How frames come in that cameras push."""
    intro = PUSHED.format(**found, minutes=found["seconds"] / 60, kb=found["bytes_of_a_frame"] / 1000)
    times = (f"{found[key]:.0f}" for key in ("ms_median", "ms_p95", "ms_most"))
    counts = (found[key] for key in ("sent", "accepted", "stored", "left", "again"))
    return intro + table(PUSH_HEAD, [(*counts, *times, found["late"])])


def map_section(found: dict[str, Any]) -> str:
    """How quick the map is in a browser."""

    def both(key: str) -> str:
        return f"{found[key]['p50']:.0f} ms, p95 {found[key]['p95']:.0f} ms"

    return MAPPED.format(
        points=found["points"],
        cores=found["cores"],
        load=found["load"],
        hovers=found["hovers"],
        ready=found["ready_s"],
        made=found["made_s"],
        hover=both("hover_ms"),
        nearest=both("nearest_ms"),
        draw=both("draw_ms"),
    )


def _kept(path: Path) -> dict[str, Any] | None:
    found: dict[str, Any] | None = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None
    return found


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _await(client: httpx.Client, server: subprocess.Popen[bytes]) -> None:
    for _ in range(300):
        if server.poll() is not None:
            raise RuntimeError("expected a server, it ended before it answered")
        try:
            client.get("/static/none")
            return
        except httpx.TransportError:
            time.sleep(0.2)
    raise RuntimeError("expected a server to answer within a minute, got none")


if __name__ == "__main__":
    main()
