"""The whole command with the real embedder, trainer and detector, on a handful of tiny pictures."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from loop.replay.results import read_results
from tests.loop.replay.toy import make_dataset

ROOT = Path(__file__).parents[3]
BASE = ROOT / "demo" / "assets" / "detector" / "base.pt"
FORM = ("--samplers", "random,hybrid", "--seeds", "2", "--rounds", "2", "--budget", "4", "--set", "passes=24")

pytestmark = pytest.mark.slow


def started(root: Path, *words: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-P", "-m", "loop.cli", "bench", *words]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        command,
        cwd=root,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def replayed(root: Path, workers: int) -> subprocess.Popen[str]:
    dataset = root / "data"
    return started(
        root, "replay", "--dataset", str(dataset), "--weights", str(BASE), "--workers", str(workers), *FORM
    )


def test_a_killed_replay_goes_on_and_is_reported(tmp_path: Path) -> None:
    make_dataset(tmp_path / "data")
    results = tmp_path / "replay" / "results" / "data"
    first = replayed(tmp_path, 2)
    deadline = time.monotonic() + 300
    while not list(results.glob("random-*.json")):
        assert first.poll() is None, first.communicate()[0]
        assert time.monotonic() < deadline
        time.sleep(0.2)
    os.kill(first.pid, signal.SIGKILL)
    first.communicate()
    kept = {path.name: path.read_bytes() for path in results.glob("*-seed*.json")}
    again = replayed(tmp_path, 2)
    said, _ = again.communicate(timeout=600)
    assert again.returncode == 0, said
    found = read_results(results)
    assert len(found) == 2 + 2 * 2 * 2
    assert all((results / name).read_bytes() == content for name, content in kept.items())
    assert all(each.overall.ap is not None and 0 <= each.overall.ap <= 1 for each in found)
    report = started(tmp_path, "report")
    text, _ = report.communicate(timeout=120)
    assert report.returncode == 0, text
    assert "| hybrid | 1 |" in (tmp_path / "replay" / "replay-data.md").read_text(encoding="utf-8")
