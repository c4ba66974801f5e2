"""One project made once, and a copy of it for every test."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from loop.project.project import open_project
from tests.fakes import FakeParts, make_project, write_frames


@pytest.fixture(scope="session")
def service_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `project` (nothing ingested yet) and `incoming`."""
    folder = tmp_path_factory.mktemp("service")
    made = make_project(
        folder / "project",
        overrides=["frames.path=../incoming", "select.max_per_sequence=50", "web.port=0"],
    )
    made.engine.dispose()
    write_frames(folder / "incoming")
    return folder


@pytest.fixture
def folder(service_template: Path, tmp_path: Path) -> Path:
    shutil.copytree(service_template, tmp_path, dirs_exist_ok=True)
    return tmp_path


@pytest.fixture
def parts(folder: Path) -> Iterator[FakeParts]:
    made = FakeParts(open_project(folder / "project"))
    yield made
    made.project.engine.dispose()
