"""What `fieldloop pull` says, typed on the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from connectors.ports import Box
from loop import stages
from loop.project import open_project
from loop.wiring import Parts
from tests.cli.test_cli import run
from tests.fakes import FakeParts, make_project, quiet, write_frames


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeParts:
    """A project whose tasks stand in Label Studio; the command line meets the same server."""
    make_project(tmp_path / "project").engine.dispose()
    write_frames(tmp_path / "incoming", bright=12, dark=3)
    parts = FakeParts(open_project(tmp_path / "project"))
    stages.ingest(parts, quiet)
    stages.analyze(parts, quiet)
    stages.select(parts, quiet, budget=4)
    stages.push(parts, quiet)
    monkeypatch.setattr(Parts, "label_backend", lambda self: parts.label_backend())
    return parts


def test_pull_says_how_many_labels_were_revoked(
    desk: FakeParts, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def pulled(*more: str) -> str:
        code, out, _ = run(capsys, monkeypatch, "pull", "--project", str(desk.project.root), *more)
        assert code == 0
        return out.strip()

    first, second, third = desk.server.task_keys()[:3]
    given = {key: desk.server.answer(key, []) for key in (first, second)}
    assert pulled() == "2 done"
    desk.server.delete_answer(given[first])
    assert pulled() == "no new answers; 1 labels revoked"
    desk.server.answer(second, [], cancelled=True, again=given[second])
    desk.server.answer(third, [Box("hat", (1.0, 2.0, 9.0, 10.0))])
    assert pulled() == "1 quarantined, 1 skipped; 1 labels revoked; unknown classes: hat"
    assert json.loads(pulled("--json"))["revoked"] == 0
