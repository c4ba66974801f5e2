"""Leases over processes: one holder, and a dead one is not waited for."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine
from sqlalchemy.exc import OperationalError

from db.engine import open_database, read, write
from db.leases import lease, release
from loop.base import lease as leases
from loop.base.lease import exclusive, holder_alive, holder_id, take


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    opened = open_database(f"sqlite:///{tmp_path / 'lease.db'}")
    yield opened
    opened.dispose()


def holder(engine: Engine) -> str | None:
    with read(engine) as session:
        found = lease(session, "push")
    return found.holder if found else None


def test_one_holds_it_and_the_others_do_not(engine: Engine) -> None:
    with exclusive(engine, "push") as first, exclusive(engine, "push") as second:
        assert (first, second) == (True, False)
    assert holder(engine) is None


def test_who_did_not_get_it_does_not_give_it_back(engine: Engine) -> None:
    with exclusive(engine, "push"):
        with exclusive(engine, "push"):
            pass
        assert holder(engine) is not None


def test_it_is_given_back_when_the_work_fails(engine: Engine) -> None:
    with pytest.raises(ZeroDivisionError), exclusive(engine, "push"):
        raise ZeroDivisionError
    assert holder(engine) is None


def test_a_dead_process_loses_it_at_once(engine: Engine, tmp_path: Path) -> None:
    script = (
        "import os, sys\n"
        "from db.engine import open_database\n"
        "from loop.base.lease import holder_id, take\n"
        f"assert take(open_database({str(engine.url)!r}), 'push', holder_id(), 3600)\n"
        "os._exit(9)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=Path(leases.__file__).parents[2], check=False)
    assert done.returncode == 9
    assert holder(engine) is not None
    with exclusive(engine, "push") as mine:
        assert mine


def test_a_zombie_is_dead() -> None:
    child = subprocess.Popen([sys.executable, "-c", "pass"])
    deadline = time.monotonic() + 30
    while leases._started(child.pid) != "gone" and time.monotonic() < deadline:
        time.sleep(0.05)
    assert leases._started(child.pid) == "gone"
    child.wait()


def test_a_process_number_that_is_used_again_is_another_process(engine: Engine) -> None:
    host, pid, _, nonce = holder_id().split("/")
    former = f"{host}/{pid}/12345/{nonce}"
    assert not holder_alive(former)
    assert take(engine, "push", former, 3600)
    assert take(engine, "push", holder_id(), 3600)


def test_a_holder_on_another_machine_keeps_it_until_it_is_silent_for_too_long(engine: Engine) -> None:
    elsewhere = "elsewhere/1/1/abcd"
    assert holder_alive(elsewhere)
    assert take(engine, "push", elsewhere, 3600)
    assert not take(engine, "push", holder_id(), 3600)
    assert take(engine, "push", elsewhere, -1)
    assert take(engine, "push", holder_id(), 3600)


def test_of_many_at_once_one_gets_it(engine: Engine) -> None:
    got: list[bool] = []
    start = threading.Barrier(6)

    def ask() -> None:
        start.wait()
        got.append(take(engine, "push", holder_id(), 60))

    threads = [threading.Thread(target=ask) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(got) == [False] * 5 + [True]


@pytest.mark.slow
def test_a_long_holder_keeps_it_alive(engine: Engine) -> None:
    with exclusive(engine, "push", ttl_s=0.4):
        time.sleep(1)
        assert not take(engine, "push", "elsewhere/1/1/abcd", 60)


@pytest.mark.slow
def test_a_busy_database_does_not_end_the_heartbeat(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    real, failures = leases.beat, [2]

    def busy(*values: object) -> bool:
        if failures[0]:
            failures[0] -= 1
            raise OperationalError("UPDATE", {}, Exception("database is locked"))
        return real(*values)  # type: ignore[arg-type]

    monkeypatch.setattr(leases, "beat", busy)
    with exclusive(engine, "push", ttl_s=1.2):
        time.sleep(2)
        assert failures == [0]
        assert not take(engine, "push", "elsewhere/1/1/abcd", 60)


def test_a_lost_lease_is_not_taken_back(engine: Engine) -> None:
    with exclusive(engine, "push", ttl_s=0.4):
        with write(engine) as session:
            release(session, "push", holder(engine) or "")
        assert take(engine, "push", "elsewhere/1/1/abcd", 3600)
        time.sleep(0.4)
    assert holder(engine) == "elsewhere/1/1/abcd"


def test_without_proc_a_process_is_at_least_known_to_be_there() -> None:
    assert leases._started_elsewhere(os.getpid()) == "alive"
    assert leases._started_elsewhere(2**22 + 5) == "gone"
