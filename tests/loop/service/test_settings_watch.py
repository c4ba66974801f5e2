"""Edits of the settings while the service runs are said, with their names."""

from __future__ import annotations

import os
from pathlib import Path

from loop.project.project import open_project
from loop.service.settings_watch import SettingsWatch
from tests.loop.service.test_scheduler import set_yaml


def test_what_was_edited_is_said_once_and_stays_noted(folder: Path) -> None:
    project = open_project(folder / "project")
    watch = SettingsWatch(project)
    assert watch.look() == ""
    text = (folder / "project" / "fieldloop.yaml").read_text()
    set_yaml(folder, round__labels=77, select__budget=5)  # type: ignore[arg-type]
    said = watch.look()
    assert said == ("fieldloop.yaml was changed (round.labels, select.budget); it counts from the next start")
    assert (watch.look(), watch.note) == ("", said)
    (folder / "project" / "fieldloop.yaml").write_text(text)
    assert (watch.look(), watch.note) == ("", "")
    project.engine.dispose()


def test_a_mistake_is_said_and_the_service_goes_on(folder: Path) -> None:
    project = open_project(folder / "project")
    watch = SettingsWatch(project)
    (folder / "project" / "fieldloop.yaml").write_text("round: {labls: 3}\n")
    said = watch.look()
    assert "fieldloop.yaml was changed and cannot be used: " in said
    assert "round.labls" in said
    assert "the service goes on with what it was started with" in said
    (folder / "project" / "fieldloop.yaml").unlink()
    assert "expected a configuration file, found nothing" in watch.look()
    project.engine.dispose()


def test_a_comment_or_a_touch_changes_nothing(folder: Path) -> None:
    project = open_project(folder / "project")
    watch = SettingsWatch(project)
    path = folder / "project" / "fieldloop.yaml"
    path.write_text(path.read_text() + "# a note\n")
    assert watch.look() == ""
    os.utime(path)
    assert watch.look() == ""
    project.engine.dispose()
