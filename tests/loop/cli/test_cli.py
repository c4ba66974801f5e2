"""The command line: quick to start, helpful, plain about errors, and readable for programs."""

from __future__ import annotations

import json
import os
import resource
import shlex
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
import typer
from typer.main import get_command

from connectors.errors import LabelStudioDown
from db.engine import read
from db.frames import frames
from loop.base.errors import ProjectError, Waiting
from loop.base.lease import exclusive
from loop.cli import app as application
from loop.cli.app import AWAY, BUSY, EXIT_CODES, FAILED, OK, STOPPED, USAGE, main
from loop.project.project import open_project
from loop.project.training_settings import trained_line
from tests.fakes import FakeParts, make_project, picture, write_frames
from tests.loop.judged import run as run_round
from tests.loop.judged import started

ROOT = Path(__file__).parents[3]
CPU_S = 0.7
PLAIN = {"completion", "demo", "mcp", "serve"}


def commands() -> Iterator[tuple[str, ...]]:
    """Every command as typed."""
    stack: list[tuple[tuple[str, ...], object]] = [((), get_command(application))]
    while stack:
        name, command = stack.pop()
        children = getattr(command, "commands", None)
        if children:
            stack += [((*name, child), found) for child, found in children.items()]
        else:
            yield name


COMMANDS = sorted(commands())
GROUPS = sorted({name[0] for name in COMMANDS if len(name) > 1})


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cli")
    make_project(folder / "project").engine.dispose()
    write_frames(folder / "incoming", bright=4, dark=1)
    return folder / "project"


def run(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, *arguments: str
) -> tuple[int, str, str]:
    """Exit code, stdout, stderr of one command in this process."""
    monkeypatch.setattr(sys, "argv", ["fieldloop", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    out, err = capsys.readouterr()
    return int(ended.value.code or 0), out, err


def test_the_commands_are_those_of_the_loop() -> None:
    expected = (
        "demo init ingest analyze status gaps duplicates select push pull round models labelstudio serve"
        " map labels bench slices backup restore metadata tasks frames collections bias mcp changes"
    )
    assert sorted({name[0] for name in COMMANDS}) == sorted(expected.split(" "))


@pytest.mark.parametrize("name", COMMANDS, ids=" ".join)
def test_every_help_has_an_example_that_can_be_typed(
    name: tuple[str, ...], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "300")
    code, out, _ = run(capsys, monkeypatch, *name, "--help")
    assert code == OK
    assert f"Example: fieldloop {' '.join(name)}" in out
    example = out.split("Example: fieldloop ", 1)[1].splitlines()[0]
    words = shlex.split(example.strip(" │"))
    command = get_command(application)
    for word in name:
        command = command.commands[word]  # type: ignore[attr-defined]
    context = command.make_context("fieldloop", words[len(name) :], resilient_parsing=True)
    assert context.args == []


@pytest.mark.parametrize("name", GROUPS)
def test_the_help_of_a_group_shows_one_of_its_commands(
    name: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "300")
    code, out, _ = run(capsys, monkeypatch, name, "--help")
    example = out.split("Example: fieldloop ", 1)[1].splitlines()[0]
    words = tuple(example.strip(" │").split())
    assert (code, words[:1]) == (OK, (name,))
    assert words[:2] in COMMANDS


@pytest.mark.parametrize("name", [name for name in COMMANDS if name[0] not in PLAIN], ids=" ".join)
def test_programs_may_read_every_result(
    name: tuple[str, ...], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "300")
    assert "--json" in run(capsys, monkeypatch, *name, "--help")[1]


def test_the_help_names_the_exit_codes(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "900")
    out = run(capsys, monkeypatch, "--help")[1]
    for code, meaning in EXIT_CODES.items():
        assert f"{code} {meaning}" in out


def test_help_comes_at_once() -> None:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    shown = subprocess.run(
        [sys.executable, "-m", "loop.cli", "--help"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    assert "ingest" in shown.stdout
    assert used < CPU_S


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("bogus",), "No such command 'bogus'"),
        (("select", "--budget", "0"), "Invalid value for '--budget'"),
        (("models", "show"), "Missing argument"),
        (("select", "--strategy", "hybird"), "the nearest is 'hybrid'"),
        (("gaps", "--html", "."), "Invalid value for '--html': file '.' is a directory"),
        (("status", "--jsno"), "No such option"),
        (("ingest", "--started-at", "noon"), "expected a time such as 2026-11-24T08:30:00+01:00, got 'noon'"),
    ],
)
def test_wrong_usage(
    arguments: tuple[str, ...],
    said: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    code, out, err = run(capsys, monkeypatch, *arguments)
    assert (code, out) == (USAGE, "")
    assert said in err


def test_no_project_here(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    code, out, err = run(capsys, monkeypatch, "status", "-p", str(tmp_path))
    assert (code, out) == (FAILED, "")
    assert err.startswith(f"error expected a project in {tmp_path} (a fieldloop.yaml), found none; make one")
    assert len(err.splitlines()) == 1


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (LabelStudioDown("expected an answer; start it"), AWAY, "error expected an answer; start it"),
        (ProjectError("expected [red]ripe[/] [apples]"), FAILED, "error expected [red]ripe[/] [apples]"),
        (KeyboardInterrupt(), STOPPED, "error stopped; run the command again to go on"),
        (Waiting("expected analyzed frames, got a part"), BUSY, "error expected analyzed frames, got a part"),
        (typer.Abort(), STOPPED, "error stopped; run the command again to go on"),
        (
            PermissionError(13, "Permission denied", "/store"),
            FAILED,
            "error /store: Permission denied; nothing",
        ),
    ],
)
def test_errors_are_one_line_and_an_exit_code(
    error: BaseException,
    code: int,
    said: str,
    project: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def broken(*given: object) -> None:
        raise error

    monkeypatch.setattr("loop.insights.overview.overview", broken)
    found, out, err = run(capsys, monkeypatch, "status", "-p", str(project))
    assert (found, out) == (code, "")
    assert err.startswith(said)
    assert len(err.splitlines()) == 1


def test_a_database_that_refuses_is_no_traceback(
    project: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from sqlalchemy.exc import OperationalError

    def locked(*given: object) -> None:
        raise OperationalError("SELECT 1", {}, Exception("database is locked"))

    monkeypatch.setattr("loop.insights.overview.overview", locked)
    code, _, err = run(capsys, monkeypatch, "status", "-p", str(project))
    assert code == FAILED
    assert (
        err
        == "error expected the database to answer, got: database is locked; nothing was lost, run the command"
        " again\n"
    )


def test_our_own_mistakes_are_shown_whole(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*given: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("loop.insights.overview.overview", broken)
    monkeypatch.setattr(sys, "argv", ["fieldloop", "status", "-p", str(project)])
    with pytest.raises(ZeroDivisionError):
        main()


def test_ingest_and_status_for_people_and_programs(
    project: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    code, out, _ = run(capsys, monkeypatch, "ingest", "-p", str(project), "--json")
    assert code == OK
    counts = {"known": 0, "stored": 5, "unsettled": 0, "stretched": 0}
    assert json.loads(out) == counts | {"notes": [], "rejected": {}, "wrong_times": {}}
    _, out, _ = run(capsys, monkeypatch, "ingest", "-p", str(project))
    assert out == "0 new frames, 5 known already, set aside: none\n"
    _, out, _ = run(capsys, monkeypatch, "status", "-p", str(project))
    assert "frames     5 from production" in out
    assert "service    not running; `fieldloop serve` starts it" in out
    _, out, _ = run(capsys, monkeypatch, "status", "-p", str(project), "--json")
    assert json.loads(out)["frames"]["production"] == 5


def test_what_is_said_of_one_run_fills_in_what_nothing_else_says(
    project: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(2):
        (tmp_path / f"{number}.jpg").write_bytes(picture(seed=600 + number))
    (tmp_path / "0.json").write_text('{"camera": "door"}')
    options = (
        "--camera",
        "gate",
        "--site",
        "north",
        "--sequence",
        "walk",
        "--started-at",
        "2026-11-24T08:30+01:00",
    )
    code, out, _ = run(capsys, monkeypatch, "ingest", str(tmp_path), "-p", str(project), *options, "--json")
    assert (code, json.loads(out)["stored"], json.loads(out)["notes"]) == (OK, 2, [])
    opened = open_project(project)
    with read(opened.engine) as session:
        rows = [row for row in frames(session) if row.site == "north"]
    opened.engine.dispose()
    assert [(row.camera, row.sequence) for row in rows] == [("door", "walk"), ("gate", "walk")]
    assert {row.captured_at for row in rows} == {datetime(2026, 11, 24, 7, 30, tzinfo=UTC)}


def test_ingest_says_when_camera_and_time_are_unknown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "project"
    make_project(place, overrides=["frames.pattern="]).engine.dispose()
    write_frames(tmp_path / "incoming", bright=4, dark=1)
    code, out, _ = run(capsys, monkeypatch, "ingest", "-p", str(place))
    likely = "{camera}/{date:%Y-%m-%d}/{time:%H%M%S}*"
    assert code == OK
    assert "of 5 production frames 5 have no camera and 5 no time; 5 are grouped by order of arrival" in out
    assert f"set frames.pattern (the paths look like '{likely}')" in out
    assert f"'{likely}'" in run(capsys, monkeypatch, "status", "-p", str(place))[1]


def test_a_round_is_opened_shown_and_cancelled(
    project: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    place = ("-p", str(project), "--json")
    code, out, _ = run(capsys, monkeypatch, "round", "start", "--open-only", *place)
    assert (code, json.loads(out)["status"]) == (OK, "freezing")
    code, out, err = run(capsys, monkeypatch, "round", "start", "--open-only", *place)
    assert (code, out) == (FAILED, "")
    assert len(err.splitlines()) == 1
    assert json.loads(run(capsys, monkeypatch, "round", "cancel", *place)[1])["status"] == "cancelled"
    assert [row["status"] for row in json.loads(run(capsys, monkeypatch, "round", "show", *place)[1])] == [
        "cancelled"
    ]
    code, _, err = run(capsys, monkeypatch, "round", "show", "99", *place)
    assert (code, "unknown number 99" in err) == (FAILED, True)


def test_one_round_is_shown_with_what_it_was_trained_with(
    labeled: FakeParts, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    row = run_round(started(labeled, lr0=0.02))
    _, out, _ = run(capsys, monkeypatch, "round", "show", "1", "-p", str(labeled.project.root))
    assert out.splitlines()[1] == f"  {trained_line(row.settings)}"
    assert "learning rate 0.02" in out.splitlines()[1]


def test_a_busy_project_has_an_exit_code_of_its_own(
    project: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = open_project(project)
    with exclusive(opened.engine, "select"):
        code, out, err = run(capsys, monkeypatch, "select", "-p", str(project), "--dry-run")
    opened.engine.dispose()
    assert (code, out) == (BUSY, "")
    assert err.startswith("error another process is selecting")


def test_without_a_label_studio_push_says_it_is_away(
    project: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    code, out, err = run(capsys, monkeypatch, "push", "-p", str(project))
    assert (code, out) == (AWAY, "")
    assert err.startswith("error expected a running Label Studio, found none; start ours")


def test_label_studio_for_programs(
    project: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    _, out, _ = run(capsys, monkeypatch, "labelstudio", "status", "-p", str(project), "--json")
    assert json.loads(out) == {"ready": False, "running": False, "url": None}
    _, out, _ = run(capsys, monkeypatch, "labelstudio", "stop", "-p", str(project), "--json")
    assert json.loads(out) == {"stopped": False}


def test_a_pipe_that_closes_early_is_no_failure(project: Path) -> None:
    ended = subprocess.run(
        f"{shlex.quote(sys.executable)} -m loop.cli status -p {shlex.quote(str(project))} --json | head -c 1;"
        ' echo "${PIPESTATUS[0]}"',
        shell=True,
        executable="/bin/bash",
        cwd=ROOT,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert ended.stdout.splitlines()[-1].lstrip("{") in ("0", "141")
    assert "Traceback" not in ended.stderr
