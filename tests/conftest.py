"""Fixtures that are dear and shared by a whole run; order and cores of a run on several workers."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from connectors.label_studio.server import start, stop
from tests.studio import Studio

LONGEST_FIRST = (
    "demo/test_quick.py",
    "tests/test_examples.py",
    "service/test_kills.py",
    "service/test_real_service.py",
    "replay/test_real.py",
    "service/test_promotion.py",
    "yolo/test_trainer.py",
    "demo/test_train_detector.py",
    "demo/test_wall.py",
    "evaluation/test_gate.py",
    "demo/test_deployed.py",
    "tests/test_crash.py",
    "label_studio/test_server.py",
    "tests/test_contracts.py",
    "demo/test_clip_known.py",
)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--side-by-side",
        action="store_true",
        help=(
            "for several xdist workers: each keeps to its share of the cores, and the longest files begin"
            " first"
        ),
    )


MEMORY = Path("/dev/shm")  # a file system without a disk, on which tests are a third faster
ROOM = 2**30


def pytest_configure(config: pytest.Config) -> None:
    if MEMORY.is_dir() and shutil.disk_usage(MEMORY).free > ROOM:
        os.environ["TMPDIR"] = str(MEMORY)
        tempfile.tempdir = None
    if config.getoption("--side-by-side") and (worker := os.environ.get("PYTEST_XDIST_WORKER")):
        cores, workers = sorted(os.sched_getaffinity(0)), int(os.environ["PYTEST_XDIST_WORKER_COUNT"])
        os.sched_setaffinity(0, cores[int(worker.removeprefix("gw")) :: workers] or cores)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("--side-by-side"):
        items.sort(key=_place)


def _place(item: pytest.Item) -> int:
    path = item.path.as_posix()
    return next((place for place, end in enumerate(LONGEST_FIRST) if path.endswith(end)), len(LONGEST_FIRST))


@pytest.fixture(scope="session")
def label_studio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Studio]:
    """One real Label Studio for all tests of a worker; each test makes a project of its own."""
    folder = tmp_path_factory.mktemp("label studio")
    root = folder / "images"
    root.mkdir()
    server = start(folder / "data", root)
    yield Studio(server, root)
    stop(folder / "data")
