"""Long work on a plain terminal: a line for every step, and one now and then while it lasts."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from connectors.label_studio.server import stop
from loop.cli.app import told_by_step
from tests.fakes import make_project


def test_waiting_is_said_once_and_then_now_and_then(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [0.0]
    clock = SimpleNamespace(monotonic=lambda: now[0])
    monkeypatch.setattr(sys.modules[told_by_step.__module__], "time", clock)
    report = told_by_step()
    report(0, 0, "making the tables")
    for _ in range(75):
        report(0, 0, f"waiting for Label Studio on port 8080 ({now[0]:.0f} s)")
        now[0] += 0.3
    report(3, 12, "fetching numpy")
    report(4, 12, "fetching scipy")
    assert capsys.readouterr().err.splitlines() == [
        "  making the tables",
        "  waiting for Label Studio on port 8080 (0 s)",
        "  waiting for Label Studio on port 8080 (10 s)",
        "  waiting for Label Studio on port 8080 (20 s)",
        "  fetching numpy (3/12)",
        "  fetching scipy (4/12)",
    ]


@pytest.mark.studio
@pytest.mark.slow
def test_label_studio_starts_without_a_flood_of_lines(tmp_path: Path) -> None:
    made = make_project(tmp_path / "project")
    made.engine.dispose()
    command = [sys.executable, "-m", "loop.cli", "labelstudio", "start", "--project", str(made.root)]
    try:
        done = subprocess.run(command, cwd=Path(__file__).parents[3], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        waiting = [line for line in done.stderr.splitlines() if "waiting for Label Studio on port" in line]
        assert 1 <= len(waiting) <= 8, done.stderr
    finally:
        stop(made.label_studio)
