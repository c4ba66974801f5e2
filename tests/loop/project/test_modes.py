"""What other programs read is readable, and what holds people's names, keys and pictures is not."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from loop.gaps import coverage_view
from loop.project.init import _write_config
from loop.project.weights import sync_deployed
from loop.web.pages import gaps
from tests.fakes import FakeParts, make_project, quiet


@pytest.fixture(params=[0o022, 0o077, 0o002, 0o000])
def umask(request: pytest.FixtureRequest) -> Iterator[int]:
    former = os.umask(request.param)
    yield request.param
    os.umask(former)


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def test_deployed_weights_are_for_all_and_the_database_for_one(tmp_path: Path, umask: int) -> None:
    project = make_project(tmp_path / "project")
    assert mode(project.deployed_weights) == 0o644
    assert mode(project.root) & 0o011 == 0o011
    assert mode(project.deployed_weights.parent) & 0o055 == 0o055
    project.deployed_weights.chmod(0o600)
    sync_deployed(project)
    assert mode(project.deployed_weights) == 0o644
    database = project.root / "fieldloop.db"
    assert {mode(path) for path in project.root.glob("fieldloop.db*")} == {0o600}, database
    assert {mode(path) for path in project.store.rglob("*.jpg")} == {0o600}
    project.engine.dispose()


def test_a_folder_that_somebody_closed_stays_closed(tmp_path: Path) -> None:
    root = tmp_path / "project"
    root.mkdir(mode=0o700)
    project = make_project(root)
    assert mode(root) == 0o700
    project.engine.dispose()


def test_settings_with_a_database_address_are_for_one(tmp_path: Path) -> None:
    _write_config(tmp_path, "database_url: postgresql://me:secret@host/x\n", private=True)
    assert mode(tmp_path / "fieldloop.yaml") == 0o600


def test_the_page_of_gaps_is_for_one_within_the_project_and_elsewhere_as_the_umask_says(
    view: coverage_view.CoverageView, analyzed: FakeParts, tmp_path: Path
) -> None:
    gaps.write(analyzed.project, view, tmp_path / "page.html")
    gaps.write(analyzed.project, view, analyzed.project.pages / "gaps.html")
    quiet(0, 0, "")
    assert mode(analyzed.project.pages / "gaps.html") == 0o600
    assert mode(tmp_path / "page.html") == 0o666 & ~os.umask(os.umask(0o022))
