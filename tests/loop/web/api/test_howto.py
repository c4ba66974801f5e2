"""The page about the API: its commands run, its tables are whole."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from loop.web.api import problems
from loop.web.app import build_app
from tests.fakes import FakeParts
from tests.loop.ingest.test_inbox import picture
from tests.loop.web.api.test_push import served
from tests.loop.web.test_mcp import tool_names
from tests.loop.web.worker import FakeWorker, client

ROOT = Path(__file__).parents[4]
PAGE = (ROOT / "docs" / "howto" / "api.md").read_text(encoding="utf-8")
BASE = "http://127.0.0.1:8765"
BLOCKS = [block for block in re.findall(r"```\n(.*?)```", PAGE, re.DOTALL) if "curl" in block]
STRICT = 'curl() { command curl --silent --show-error --fail-with-body "$@" >&2; }; set -e; '
BY_STATUS = {401, 403, 404, 405, 413, 421, 429}
"""Of refusals that are no more than a status."""


@pytest.fixture
def port(chosen: FakeParts) -> Iterator[int]:
    with served(build_app(chosen, FakeWorker(chosen))) as port:
        yield port


@pytest.mark.skipif(shutil.which("curl") is None, reason="there is no curl")
def test_every_command_of_the_page_runs(port: int, tmp_path: Path) -> None:
    (tmp_path / "frame.jpg").write_bytes(picture(1))
    assert len(BLOCKS) >= 5
    for block in BLOCKS:
        script = STRICT + block.replace(BASE, f"http://127.0.0.1:{port}")
        ran = subprocess.run(["bash", "-c", script], cwd=tmp_path, capture_output=True, text=True, timeout=60)
        assert ran.returncode == 0, (block, ran.stderr)


def test_every_kind_of_problem_stands_in_the_table() -> None:
    told = set(
        re.findall(r"`([a-z-]+)`", "\n".join(re.findall(r"^\| (`[a-z-]+`.*?) \|", PAGE, re.MULTILINE)))
    )
    sources = "\n".join(path.read_text() for path in Path(problems.__file__).parent.glob("*.py"))
    raised = set(re.findall(r"\(\s*\d{3},\s*\"([a-z-]+)\"", sources))
    assert raised >= {"invalid", "busy", "failed", "disk-full"}
    assert told == raised | {problems.kind_of(status) for status in BY_STATUS}


def test_every_path_stands_on_the_page(chosen: FakeParts) -> None:
    schema = client(chosen.project).get("/api/openapi.json").json()
    for path in schema["paths"]:
        last = path.rstrip("/").split("/")
        words = [word for word in last if word and not word.startswith("{")]
        assert words[0] in PAGE, path
        assert f"/{words[-1]}`" in PAGE or f"/{words[-1]}" in PAGE, path


def test_every_tool_stands_on_the_page(chosen: FakeParts) -> None:
    assert [name for name in tool_names(chosen.project) if f"`{name}`" not in PAGE] == []
