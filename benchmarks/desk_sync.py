"""python -m benchmarks.desk_sync: what it costs to keep a project with many open tasks in step with a real
Label Studio, and whether a push that is killed in the middle is taken up again.

By default 10,000 tasks of rows alone over shared pictures are pushed into a server of its own (SQLite), a
thousand of them by a process that gets SIGKILL once; then pulls are measured three times each. It takes 5 to
25 minutes, nearly all of them pushing. `--report` writes docs/desk-sync.md from the result file.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx

from benchmarks.markdown import table
from benchmarks.scale.models import FRAME
from benchmarks.scale.project import empty
from benchmarks.scale.rows import fake_hash, group_row, shared_picture, write_frames, write_pictures
from connectors.label_studio.server import DATABASE, ServerInfo, start, stop
from connectors.ports import Purpose
from db.engine import read, write
from db.states import Origin, Role, TaskStatus
from db.task_queue import tasks_by_id
from db.tasks import NewTask, add_tasks, create_batch, queue_batch, tasks
from loop.labeling.pull import PullReport, pull
from loop.labeling.push import push
from loop.project.project import CONFIG_NAME, open_project
from loop.project.wiring import Parts

RESULTS = Path(__file__).parent / "results" / "desk_sync.json"
DOCUMENT = Path(__file__).parents[1] / "docs" / "desk-sync.md"
FIRST = datetime(2026, 3, 2, 8, tzinfo=UTC)
KILLED, CHANGED, REPEATS = 1000, 10, 3
NOW = timedelta(0)
AIM_S = 2.0


@dataclass(frozen=True)
class Seconds:
    """Wall seconds of each repetition."""

    what: str
    each: list[float]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("--tasks", type=int, default=10_000)
    parser.add_argument("--keep", action="store_true", help="write the result file and the page")
    parser.add_argument("--report", action="store_true", help="write the page from the result file alone")
    parser.add_argument("--push", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.push:
        push(Parts(open_project(options.push)), _told, settle=NOW)
        return
    if not options.report:
        result = run(options.tasks)
        print(json.dumps(result, indent=2))
        if not options.keep:
            return
        RESULTS.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    DOCUMENT.write_text(document(json.loads(RESULTS.read_text(encoding="utf-8"))), encoding="utf-8")


def run(count: int) -> dict[str, Any]:
    """One whole measurement in a folder that is thrown away."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as folder:
        root = Path(folder) / "desk"
        empty(root, "desk")[0].engine.dispose()
        with (root / CONFIG_NAME).open("a", encoding="utf-8") as config:
            config.write("labels: {second_share: 0}\n")
        project = open_project(root)
        write_pictures(project.store)
        server = start(project.label_studio, project.store)
        try:
            return measured(Parts(project), server, root, count)
        finally:
            stop(project.label_studio)
            project.engine.dispose()


def measured(parts: Parts, server: ServerInfo, root: Path, count: int) -> dict[str, Any]:
    """All measures of a project that is empty yet."""
    resumed = killed_and_resumed(parts, server, root, min(KILLED, count))
    choose(parts, min(KILLED, count), count)
    begun = time.monotonic()
    pushed = push(parts, _told, settle=NOW).pushed
    push_s = time.monotonic() - begun
    an_hour_passes(parts.project.label_studio)
    first = timed("first pull: compares all", lambda: pull(parts, quiet), 1)
    found = [first, *pulls(parts, server), former_lookups(parts)]
    before = _open(parts)
    gone = before[-1]
    _call(server, "DELETE", f"tasks/{gone.external_id}/")
    found.append(timed("pull after one task was deleted: compares all", lambda: pull(parts, quiet), 1))
    with read(parts.project.engine) as session:
        noticed = tasks_by_id(session, [gone.id])[gone.id].status is TaskStatus.CANCELLED
    return {
        "tasks": count,
        "cores": os.cpu_count(),
        "load": round(os.getloadavg()[0], 1),
        "at": datetime.now(UTC).isoformat(timespec="minutes"),
        "pushed": pushed,
        "push_tasks_per_s": round(pushed / push_s, 1) if pushed else None,
        "resumed": resumed,
        "deletion_noticed_by_the_next_pull": noticed,
        "seconds": [asdict(one) for one in found],
    }


def an_hour_passes(data_dir: Path) -> None:
    """Since the push, by the times of the tasks: what changed in the last minutes is read again."""
    with closing(sqlite3.connect(data_dir / DATABASE, timeout=60)) as database, database:
        database.execute("UPDATE task SET updated_at = datetime(updated_at, '-1 hour')")


def pulls(parts: Parts, server: ServerInfo) -> list[Seconds]:
    """An empty pull and one with CHANGED answers, in turn."""
    empty_s, changed_s = list[float](), list[float]()
    for _ in range(REPEATS):
        _expect(_lap(lambda: pull(parts, quiet), empty_s), 0)
        for task in _open(parts)[:CHANGED]:
            body = {"result": [], "lead_time": 2.0}
            _call(server, "POST", f"tasks/{task.external_id}/annotations/", json=body)
        _expect(_lap(lambda: pull(parts, quiet), changed_s), CHANGED)
    return [Seconds("empty pull", empty_s), Seconds(f"pull of {CHANGED} answers", changed_s)]


def former_lookups(parts: Parts) -> Seconds:
    """What every pull did besides until 2026-12-01: each open task was looked up by its key."""
    waiting = _open(parts)
    backend, number = parts.label_backend(), waiting[0].external_project or 0

    def look() -> int:
        return sum(
            len(backend.find(number, [task.key for task in waiting[begin : begin + 1000]]))
            for begin in range(0, len(waiting), 1000)
        )

    return timed("what each pull did besides before: every open task looked up", look, 1)


def killed_and_resumed(parts: Parts, server: ServerInfo, root: Path, count: int) -> dict[str, Any]:
    """A process pushes and gets SIGKILL in the middle; another push takes it up."""
    choose(parts, 0, count)
    command = [sys.executable, "-m", "benchmarks.desk_sync", "--push", str(root)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if int(line) >= count // 2:
                break
        time.sleep(0.1)
        process.send_signal(signal.SIGKILL)
    killed_at = len(_keys(parts, server))
    report = push(parts, quiet, settle=NOW)
    there = _keys(parts, server)
    with read(parts.project.engine) as session:
        ours = [task.key for task in tasks(session, status=TaskStatus.CONFIRMED)]
    return {
        "tasks": count,
        "there_when_killed": killed_at,
        "made_by_the_next_push": report.pushed,
        "found_by_the_next_push": report.found,
        "twice": len(there) - len({*there}),
        "lost": len({*ours} ^ {*there}) + count - len(ours),
    }


def choose(parts: Parts, first: int, last: int) -> None:
    """Frames first..last - 1 of a camera, a second apart, each with a task."""
    with write(parts.project.engine) as session:
        group = group_row(session, f"camera/{first}", Role.POOL)
        rows = [_frame(seq, group) for seq in range(first + 1, last + 1)]
        write_frames(session, rows, None)
        batch = create_batch(session, "benchmark", 0, last - first, {})
        add_tasks(session, batch, [_task(row, batch) for row in rows])
        queue_batch(session, batch)


def document(result: dict[str, Any]) -> str:
    """The page, from the result file."""
    by_name = {one["what"]: one["each"] for one in result["seconds"]}
    extra = statistics.median(by_name[f"pull of {CHANGED} answers"]) - statistics.median(
        by_name["empty pull"]
    )
    rows = [
        (one["what"], len(one["each"]), *(round(f(one["each"]), 2) for f in (min, statistics.median, max)))
        for one in result["seconds"]
    ]
    resumed, cores, load = result["resumed"], result["cores"], result["load"]
    killed, made, found = (
        resumed[name] for name in ("there_when_killed", "made_by_the_next_push", "found_by_the_next_push")
    )
    noticed = "noticed" if result["deletion_noticed_by_the_next_pull"] else "**not** noticed"
    return f"""# Keeping {result["tasks"]:,} tasks in step with Label Studio

`python -m benchmarks.desk_sync --keep` measured this against a real Label Studio (SQLite) on
{cores} cores and wrote this page; `--report` writes it again from
`benchmarks/results/desk_sync.json`. One run on {result["at"][:10]}, no seed: tasks are rows over
shared pictures, without boxes. Other work ran on the same cores (load {load}), so seconds are
comparable within this run alone.

{table(("what", "runs", "least s", "median s", "most s"), rows)}
A pull of {CHANGED} answers takes {extra:.2f} s more than an empty one (medians). The aim is at most
{AIM_S:.0f} s, which {"holds" if extra <= AIM_S else "**does not hold**"}.

For ten minutes after a push each pull reads again what the push made in its last five minutes; here that
befell the first pull of either kind (the most s). Any other pull counts the tasks and reads those whose
time moved. One task that a person deleted was {noticed} by the next pull, which compared all.
{result["push_tasks_per_s"]} tasks were pushed per second.

A process that pushed {resumed["tasks"]:,} tasks got SIGKILL when {killed:,} stood in Label Studio. The
next push made {made:,} and found {found:,}; {resumed["twice"]} stood there twice,
{resumed["lost"]} were lost.
"""


def timed(what: str, act: Callable[[], Any], times: int) -> Seconds:
    """Wall seconds of so many calls."""
    each: list[float] = []
    for _ in range(times):
        _lap(act, each)
    return Seconds(what, each)


def quiet(done: int, total: int, what: str) -> None:
    """A Progress that says nothing."""


def _told(done: int, total: int, what: str) -> None:
    print(done, flush=True)


def _lap(act: Callable[[], Any], each: list[float]) -> Any:
    begun = time.monotonic()
    result = act()
    each.append(round(time.monotonic() - begun, 3))
    print(each, file=sys.stderr, flush=True)
    return result


def _expect(report: PullReport, answers: int) -> None:
    if report.answers.total() != answers or report.compared:
        raise SystemExit(
            f"expected an ordinary pull of {answers} answers, got {report.lines()}; the measure is void"
        )


def _open(parts: Parts) -> Sequence[Any]:
    with read(parts.project.engine) as session:
        return tasks(session, status=TaskStatus.CONFIRMED)


def _keys(parts: Parts, server: ServerInfo) -> list[str]:
    """The keys of all tasks of the only project, each as often as it stands there."""
    (project,) = _call(server, "GET", "projects")["results"]
    path = f"tasks?project={project['id']}&include=id,data&fields=task_only&page_size=2000"
    found = _call(server, "GET", path)
    return [task["data"]["fieldloop_key"] for task in found["tasks"]]


def _call(server: ServerInfo, method: str, path: str, **options: Any) -> Any:
    headers = {"Authorization": f"Token {server.token}"}
    address = f"{server.url}/api/{path}"
    answer = httpx.request(method, address, headers=headers, trust_env=False, timeout=300, **options)
    answer.raise_for_status()
    with suppress(ValueError):
        return answer.json()
    return None


def _frame(seq: int, group: int) -> dict[str, Any]:
    when = FIRST + timedelta(seconds=seq)
    return {
        "seq": seq,
        "content_hash": fake_hash(Origin.PRODUCTION, seq),
        "path": shared_picture(seq),
        "origin": Origin.PRODUCTION,
        "split": None,
        "group_id": group,
        "camera": "camera",
        "site": "site",
        "sequence": None,
        "captured_at": when,
        "width": FRAME[0],
        "height": FRAME[1],
        "bytes": 250_000,
        "source_key": f"{seq}.jpg",
        "ingested_at": when,
    }


def _task(row: dict[str, Any], batch: int) -> NewTask:
    key = f"{row['content_hash'][:20]}-b{batch}-train"
    return NewTask(row["seq"], Purpose.TRAIN, key, row["seq"], 0.5, "measured", "random")


if __name__ == "__main__":
    main()
