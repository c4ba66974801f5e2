"""A collection that a person changes within the seconds in which a comparison writes: the change stands."""

from __future__ import annotations

import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from db import slices as stored
from loop.changes import collections as changing
from loop.changes.audit import Who
from loop.changes.slices import retire
from loop.insights.collections import one_collection
from loop.settings.collections import Crowd
from tests.loop.gaps.test_recording import begun, on

__all__ = ["begun"]
ANN = Who("ann", "page")


@pytest.mark.slow
def test_a_change_while_a_comparison_writes_is_not_lost(
    tmp_path: Path,
    url: str,
    begun: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = on(url, tmp_path / "a", begun)
    parts, project = world.parts, world.parts.project
    world.compare()
    judged, given_up = (changing.make_by_rules(parts, ANN, name, [Crowd(1)]) for name in ("jams", "queues"))
    changing.set_quota(parts, ANN, given_up, 0.25)
    pool, changes, once = ThreadPoolExecutor(2), list[Future[Any]](), threading.Event()

    def meanwhile(*args: Any) -> dict[str, int]:
        """The comparison has read the collections and has yet to write them."""
        if not once.is_set():
            once.set()
            changes.append(pool.submit(changing.set_judged, parts, ANN, judged, False))
            changes.append(pool.submit(retire, project, ANN, given_up))
            time.sleep(1)
            assert [change.done() for change in changes] == [False, False], "both wait"
        return stored.define_slices(*args)

    monkeypatch.setattr("loop.gaps.slices.define_slices", meanwhile)
    world.label(1)
    world.compare()
    for change in changes:
        change.result(60)
    assert once.is_set()
    assert not one_collection(project, judged).judged
    left = one_collection(project, given_up)
    assert (left.retired_at is not None, left.quota) == (True, None)
    world.engine.dispose()
