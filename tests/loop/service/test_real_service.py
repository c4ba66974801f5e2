"""The real `fieldloop serve`: real models, real training, a real Label Studio of its own."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from typing import Any

import pytest

from connectors.label_studio.results import KEY
from connectors.label_studio.server import status, stop
from tests.loop.service.world import Served, World, deliver, make_world, until
from tests.studio import Person, Studio

pytestmark = [pytest.mark.slow, pytest.mark.studio]
FRAMES = 20
STARTED_S, ANALYZED_S, ON_DESK_S, JUDGED_S, STOPPED_S = 240.0, 60.0, 120.0, 400.0, 10.0


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    made = make_world(
        tmp_path_factory.mktemp("real service"), {"labels.second_share": 0}
    )  # one person answers; tasks of several stand in test_kills
    yield made
    stop(made.root / "labelstudio")


@pytest.fixture
def served(world: World) -> Iterator[Served]:
    running = world.serve()
    yield running
    if running.process.poll() is None:
        running.kill()


def studio(world: World) -> Studio:
    server = until(lambda: status(world.root / "labelstudio"), STARTED_S)
    return Studio(server, world.root / "store")


def tasks(world: World, served: Served) -> list[dict[str, Any]]:
    project = served.status()["label_studio_project"]
    if not project:
        return []
    found = studio(world).call("GET", f"tasks?project={project}&page_size=1000&fields=all")
    return list(found["tasks"])


def counts(world: World) -> dict[str, Any]:
    found: dict[str, Any] = world.ask("status")
    return found


def test_frames_become_tasks_and_answers_a_verdict(world: World, served: Served) -> None:
    until(lambda: served.health()["label_studio"], STARTED_S)
    begun = time.monotonic()
    deliver(world.incoming, FRAMES)
    until(lambda: all(item["done"] == 40 for item in _analyzed(served)), ANALYZED_S)
    assert time.monotonic() - begun < ANALYZED_S
    until(lambda: served.status()["tasks"]["confirmed"] >= 8, ON_DESK_S - (time.monotonic() - begun))
    assert time.monotonic() - begun < ON_DESK_S
    standing = tasks(world, served)
    assert len(standing) == len({task["data"][KEY] for task in standing}) == _chosen(served)
    assert served.status()["frames"]["production"] == FRAMES
    assert "compared" in served.page("/coverage").text

    person = Person(studio(world))
    for task in standing:
        person.accept(task["id"])
    until(lambda: served.status()["tasks"]["done"] == len(standing), ON_DESK_S)
    opened = world.ask("round", "start", "--open-only")
    assert opened["status"] in ("freezing", "training")
    ended = until(lambda: _ended(served, opened["id"]), JUDGED_S)
    (shown,) = world.ask("round", "show", str(opened["id"]))
    assert (shown["status"], shown["verdict"]) == (ended["status"], ended["verdict"])
    assert ended["status"] in ("promoted", "rejected"), ended
    assert ended["verdict"]["checks"]
    page = served.page("/").text
    assert all(
        said in page for said in (f"{FRAMES} new frames", "frames chosen", "tasks made", ended["status"])
    )
    assert served.page("/healthz").status_code == 200
    assert "Traceback" not in served.said()
    code, seconds = served.terminate()
    assert (code, seconds < STOPPED_S) == (0, True), served.said()[-2000:]


def test_it_waits_for_label_studio_and_catches_up(world: World, served: Served) -> None:
    until(lambda: served.health()["label_studio"], STARTED_S)
    before = len(tasks(world, served))
    world.run("labelstudio", "stop")
    deliver(world.incoming, 10, first=2000)
    until(lambda: served.job("push")["outcome"] == "waiting", ANALYZED_S)
    until(lambda: "expected a running Label Studio" in served.job("push")["detail"], ANALYZED_S)
    assert "waiting" in world.run("status")
    assert "waiting" in served.page("/").text
    time.sleep(12)
    assert status(world.root / "labelstudio") is None, "it was started against the will of who stopped it"
    assert served.status()["tasks"]["pending"] > 0
    world.run("labelstudio", "start")
    until(lambda: served.status()["tasks"]["pending"] + served.status()["tasks"]["sent"] == 0, ON_DESK_S)
    until(lambda: served.job("push")["outcome"] == "done", ON_DESK_S)
    standing = tasks(world, served)
    assert len(standing) > before
    assert len(standing) == len({task["data"][KEY] for task in standing}) == _chosen(served)


def test_a_label_studio_that_dies_is_started_again(world: World, served: Served) -> None:
    until(lambda: served.health()["label_studio"], STARTED_S)
    first = status(world.root / "labelstudio")
    assert first is not None
    os.kill(first.pid, signal.SIGKILL)

    def again() -> bool:
        server = status(world.root / "labelstudio")
        return server is not None and server.ready and server.pid != first.pid

    until(again, STARTED_S)
    until(lambda: served.health()["label_studio"], 30)


def test_a_second_serve_waits_and_the_commands_work_beside_it(world: World, served: Served) -> None:
    served.page("/healthz")
    second = world.serve("second")
    try:
        until(lambda: "another `fieldloop serve` leads this project" in second.said(), 60)
        assert f"process {served.process.pid} on" in counts(world)["service"]
        for arguments in (["ingest"], ["gaps"], ["push"], ["pull"]):
            world.ask(*arguments)
        assert "status page" not in second.said()
        served.kill()
        until(lambda: "status page" in second.said(), 60)
        until(lambda: f"process {second.process.pid} on" in counts(world)["service"], 30)
        code, seconds = second.terminate()
        assert (code, seconds < STOPPED_S) == (0, True), second.said()[-2000:]
    finally:
        if second.process.poll() is None:
            second.kill()


def test_one_that_waits_ends_at_once(world: World, served: Served) -> None:
    served.page("/healthz")
    second = world.serve("waiting")
    until(lambda: "another `fieldloop serve` leads" in second.said(), 60)
    code, seconds = second.terminate()
    assert (code, seconds < STOPPED_S) == (0, True)


def _analyzed(served: Served) -> list[dict[str, Any]]:
    found = served.status()["analyzed"]
    return found if {item["kind"] for item in found} == {"embedder", "detector", "measure"} else [{"done": 0}]


def _chosen(served: Served) -> int:
    return sum(served.status()["tasks"].values())


def _ended(served: Served, number: int) -> dict[str, Any] | None:
    (row,) = [row for row in served.status()["rounds"] if row["id"] == number]
    return row if row["status"] in ("promoted", "rejected", "failed", "cancelled") else None
