"""Commands that need no model load no large package: that makes them answer at once."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from loop.analysis.analyze import analyze
from loop.ingest.ingest import ingest
from loop.rounds import rounds
from tests.fakes import FakeParts, picture, quiet

HEAVY = (
    "torch",
    "torchvision",
    "open_clip",
    "ultralytics",
    "scipy",
    "sklearn",
    "faiss",
    "matplotlib",
    "cv2",
    "av",
    "PIL",
    "alembic",
    "label_studio_sdk",
)
RUN = """
import contextlib, json, sys
from loop.cli import main
heavy, commands = json.loads(sys.argv[1])
for command in commands:
    sys.argv = ["fieldloop", *command]
    with contextlib.redirect_stdout(sys.stderr):
        try:
            main()
        except SystemExit as end:
            code = end.code or 0
    print(json.dumps([code, [name for name in heavy if name in sys.modules]]))
"""


@pytest.fixture
def used(parts: FakeParts, folder: Path) -> Path:
    """A project with frames, one of them without camera and time, all analyzed, and a round."""
    (folder / "incoming" / "plain.jpg").write_bytes(picture(seed=77))
    ingest(parts, quiet)
    analyze(parts, quiet)
    rounds.start(parts)
    return parts.project.root


def test_commands_that_need_no_model_load_none(used: Path) -> None:
    place = ("--project", str(used))
    commands = [
        ["--help"],
        ["frames", "labeled=yes", *place],
        ["models", "list", *place],
        ["models", "show", "1", *place],
        ["round", "show", *place],
        ["round", "show", "1", *place],
        ["slices", *place],
        ["status", *place],
    ]
    ran = subprocess.run(
        [sys.executable, "-P", "-c", RUN, json.dumps([HEAVY, commands])], capture_output=True, text=True
    )
    assert ran.returncode == 0, ran.stderr
    assert "no camera" in ran.stderr
    found = [json.loads(line) for line in ran.stdout.splitlines()]
    assert dict(zip(map(" ".join, commands), found, strict=True)) == {
        " ".join(command): [0, []] for command in commands
    }
