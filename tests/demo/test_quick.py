"""The demo in its quick form, as the README gives it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from connectors.label_studio.server import status, stop

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
@pytest.mark.studio
def test_the_quick_demo_ends_with_a_report(tmp_path: Path) -> None:
    server = tmp_path / "demo-run-quick" / "project" / "labelstudio"
    command = [
        sys.executable,
        "-P",
        "-m",
        "loop.cli",
        "demo",
        "--quick",
        "--folder",
        str(tmp_path / "demo-run"),
    ]
    try:
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
        assert status(server) is None
    finally:
        stop(server)
    report = tmp_path / "demo-run-quick" / "report.html"
    assert f"report: {report}" in done.stderr
    assert "</html>" in report.read_text(encoding="utf-8")
