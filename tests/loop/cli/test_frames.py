"""`fieldloop frames` and `fieldloop select --within`, as they are typed."""

from __future__ import annotations

import json
import re

import pytest
from typer.testing import CliRunner

from db.engine import read
from db.frames import frames
from db.labels import labels
from loop.base.errors import ConfigError
from loop.cli.app import app
from tests.fakes import FakeParts


def run(parts: FakeParts, *arguments: str) -> str:
    result = CliRunner().invoke(app, [*arguments, "--project", str(parts.project.root)])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.stdout


def test_it_lists_counts_names_and_spreads(chosen: FakeParts) -> None:
    with read(chosen.project.engine) as session:
        rows, labeled = frames(session), labels(session)
    listed = run(chosen, "frames", "labeled=yes", "--limit", "3").splitlines()
    assert listed[0] == f"{len(labeled)} frames"
    files = {row.source_key for row in rows if row.seq in labeled}
    assert all(any(file in line for file in files) for line in listed[1:4])
    assert listed[4] == f"and {len(labeled) - 3} more; --limit N shows them, --ids names them"
    assert run(chosen, "frames", "--count") == f"{len(rows)} frames\n"
    assert {int(line) for line in run(chosen, "frames", "labeled=yes", "--ids").split()} == set(labeled)
    told = json.loads(run(chosen, "frames", "--json", "--distribution", "camera"))
    assert sum(bar["count"] for bar in told["bars"]) + told["unknown"] == len(rows)
    for bar in told["bars"]:
        assert run(chosen, "frames", bar["address"], "--count") == (
            f"{bar['count']} frame{'s' if bar['count'] != 1 else ''}\n"
        )
    spread = run(chosen, "frames", "origin=production", "--distribution", "day").splitlines()
    assert all(re.match(r" *\d+ +[\d.]+%  2026-\d\d-\d\d", line) for line in spread[1:])


def test_json_of_a_frame_says_what_is_known_of_it(chosen: FakeParts) -> None:
    told = json.loads(run(chosen, "frames", "task=queued&order=worth", "--json", "--limit", "2"))
    first, second = told["frames"]
    assert told["count"] == 12
    assert told["order"] == "worth"
    assert first["value"] > second["value"]
    assert first["task"] == "pending"
    assert first["reason"]
    assert first["file"].endswith(".jpg")
    assert first["boxes_of"] == "model"


def test_what_is_no_set_is_refused(chosen: FakeParts) -> None:
    for arguments in (
        ["frames", "kamera=1"],
        ["frames", "--distribution", "moon"],
        ["select", "--within", "x"],
    ):
        with pytest.raises(ConfigError, match="expected"):
            run(chosen, *arguments)


def test_select_within_an_address(analyzed: FakeParts, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("loop.cli.labeling.opened", lambda root: analyzed)
    told = json.loads(
        run(analyzed, "select", "--within", "role=pool", "--budget", "3", "--dry-run", "--json")
    )
    pool = {int(line) for line in run(analyzed, "frames", "role=pool", "--ids").split()}
    assert {item["frame"] for item in told["chosen"]} <= pool
    assert len(told["chosen"]) == 3
