"""A job that a person paused stays paused over restarts of the real `fieldloop serve`, and so does its
resumption.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from loop.settings.settings import Schedule
from tests.fakes import write_frames
from tests.loop.service.test_scheduler import set_yaml
from tests.loop.service.world import Served, World, until

pytestmark = pytest.mark.slow
SOON_S = 30.0
EVERY_S = 1
"""How often it looks for new frames."""


@pytest.fixture
def world(folder: Path) -> World:
    """Only ingest runs, which needs no models."""
    never = {f"schedule__{job}": "" for job in Schedule.model_fields}
    set_yaml(folder, **never | {"schedule__ingest": f"{EVERY_S}s"})
    return World(folder / "project", folder / "incoming")


@contextmanager
def serving(world: World) -> Iterator[Served]:
    running = world.serve("serve", "--no-label-studio")
    try:
        yield running
        code, _ = running.terminate()
        assert code == 0, running.said()[-2000:]
    finally:
        if running.process.poll() is None:
            running.kill()


def frames(served: Served) -> int:
    return int(served.status()["frames"]["production"])


def ask(served: Served, change: str) -> None:
    served.post(f"/api/jobs/ingest/{change}").raise_for_status()


def test_a_pause_and_its_resumption_outlast_restarts(world: World) -> None:
    with serving(world) as first:
        until(lambda: frames(first) == 42, SOON_S)
        ask(first, "pause")
        since = first.job("ingest")["paused_at"]
    write_frames(world.incoming, bright=3, dark=0, first=100)
    with serving(world) as second:
        assert since
        assert second.job("ingest")["paused_at"] == since
        time.sleep(2 * EVERY_S)
        assert frames(second) == 42
        assert "paused since" in second.page("/").text
        ask(second, "resume")
        until(lambda: frames(second) == 45, SOON_S)
    write_frames(world.incoming, bright=3, dark=0, first=200)
    with serving(world) as third:
        assert third.job("ingest")["paused_at"] is None
        until(lambda: frames(third) == 48, SOON_S)
        told = [row["what"] for row in third.page("/api/changes").json()["changes"]]
    assert told == ["job resumed", "job paused"]
