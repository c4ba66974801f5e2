"""A backup is whole although the project is written meanwhile, and what it restores fetches the rest."""

from __future__ import annotations

import os
import shutil
import tarfile
import threading
from pathlib import Path

import pytest
from typer.testing import CliRunner

from connectors.images import content_hash
from db.engine import read, write
from db.facts import get_fact, set_fact
from db.frames import frames
from db.labels import count_labels
from db.leases import acquire
from db.states import Origin, TaskStatus
from loop.base.errors import ProjectError
from loop.cli.app import app
from loop.ingest.ingest import ingest
from loop.project.backup import MANIFEST, back_up, restore
from loop.project.project import Project, open_project
from loop.selection import select
from loop.selection.select import Request
from tests.fakes import FakeParts, quiet, write_frames
from tests.loop.desk import pull, push, rows


def contents(root: Path) -> dict[str, str]:
    return {
        path.relative_to(root).as_posix(): content_hash(path.read_bytes())
        for folder in ("store", "models", "datasets", "rounds")
        for path in sorted((root / folder).rglob("*"))
        if path.is_file()
    }


def test_a_project_is_the_same_after_a_restore(chosen: FakeParts, tmp_path: Path) -> None:
    project = chosen.project
    (project.root / "conditions.yaml").write_text("[]\n")
    image = next((project.store / "frames").rglob("*.jpg"))
    (project.datasets / "aa").mkdir(parents=True)
    os.link(image, project.datasets / "aa" / image.name)
    made = back_up(project, tmp_path / "saved" / "b.tar", quiet)
    assert made.counts["frames"] == 42 + 32
    assert made.file.stat().st_mode & 0o777 == 0o600
    assert not list(made.file.parent.glob(".*"))
    found = restore(made.file, tmp_path / "again", quiet)
    assert (found.made_at, found.files, found.counts) == (made.made_at, made.files, made.counts)
    assert contents(tmp_path / "again") == contents(project.root)
    again = open_project(tmp_path / "again")
    assert again.settings == project.settings
    with read(again.engine) as session, read(project.engine) as before:
        assert frames(session) == frames(before)
    again.engine.dispose()
    assert (tmp_path / "again" / "conditions.yaml").is_file()
    assert not (tmp_path / "again" / MANIFEST).exists()
    link = tmp_path / "again" / "datasets" / "aa" / image.name
    assert link.stat().st_ino == (tmp_path / "again" / image.relative_to(project.root)).stat().st_ino


def test_a_backup_is_consistent_while_others_write(parts: FakeParts, tmp_path: Path) -> None:
    stop, written = threading.Event(), [0]

    def count_up() -> None:
        while not stop.is_set():
            with write(parts.project.engine) as session:
                set_fact(session, "one", str(written[0]))
                set_fact(session, "two", str(written[0]))
            written[0] += 1

    writer = threading.Thread(target=count_up)
    writer.start()
    ingesting = threading.Thread(target=lambda: ingest(parts, quiet))
    ingesting.start()
    back_up(parts.project, tmp_path / "b.tar", quiet)
    stop.set()
    writer.join()
    ingesting.join()
    restore(tmp_path / "b.tar", tmp_path / "again", quiet)
    again = open_project(tmp_path / "again")
    with read(again.engine) as session:
        assert get_fact(session, "one") == get_fact(session, "two")
        for row in frames(session):
            assert content_hash((again.store / row.path).read_bytes()) == row.content_hash
    again.engine.dispose()


@pytest.mark.parametrize("where", [0.3, 0.6, 0.95])
def test_a_damaged_backup_restores_nothing(parts: FakeParts, tmp_path: Path, where: float) -> None:
    made = back_up(parts.project, tmp_path / "b.tar", quiet)
    with made.file.open("r+b") as file:
        file.seek(int(made.file.stat().st_size * where))
        file.write(os.urandom(600))
    with pytest.raises(ProjectError, match=r"b\.tar: expected"):
        restore(made.file, tmp_path / "again", quiet)
    assert not (tmp_path / "again").exists()
    assert not list(tmp_path.glob(".again*"))


def test_half_a_backup_or_another_file_is_refused(parts: FakeParts, tmp_path: Path) -> None:
    made = back_up(parts.project, tmp_path / "b.tar", quiet)
    os.truncate(made.file, made.file.stat().st_size // 2)
    other = tmp_path / "other.tar"
    other.write_bytes(b"no tar" * 500)
    leaving = tmp_path / "leaving.tar"
    with tarfile.open(leaving, "w") as archive:
        archive.add(other, "../../outside")
    for file in (made.file, other, leaving):
        with pytest.raises(ProjectError, match="expected a whole backup of fieldloop's"):
            restore(file, tmp_path / "again", quiet)
    assert not (tmp_path / "again").exists()


def test_nothing_is_replaced(parts: FakeParts, tmp_path: Path) -> None:
    made = back_up(parts.project, tmp_path / "b.tar", quiet)
    before = contents(parts.project.root)
    with pytest.raises(ProjectError, match="expected a new or empty folder"):
        restore(made.file, parts.project.root, quiet)
    with pytest.raises(ProjectError, match="expected a new file outside"):
        back_up(parts.project, made.file, quiet)
    with pytest.raises(ProjectError, match="expected a new file outside"):
        back_up(parts.project, parts.project.root / "b.tar", quiet)
    assert contents(parts.project.root) == before


def test_a_project_whose_stored_files_are_gone_is_not_called_saved(parts: FakeParts, tmp_path: Path) -> None:
    ingest(parts, quiet)
    with read(parts.project.engine) as session:
        lost = frames(session, origin=Origin.PRODUCTION)[3]
    (parts.project.store / lost.path).unlink()
    with pytest.raises(ProjectError, match=rf"found 1 missing or cut short, such as store/{lost.path}"):
        back_up(parts.project, tmp_path / "b.tar", quiet)
    assert not (tmp_path / "b.tar").exists()


def test_who_worked_on_it_then_does_not_hold_the_restored_one(parts: FakeParts, tmp_path: Path) -> None:
    with write(parts.project.engine) as session:
        acquire(session, "serve", "elsewhere/1/1/aa", 3600)
    made = back_up(parts.project, tmp_path / "b.tar", quiet)
    restore(made.file, tmp_path / "again", quiet)
    again = open_project(tmp_path / "again")
    with write(again.engine) as session:
        assert acquire(session, "serve", "here/1/1/bb", 3600)
    again.engine.dispose()


def choose(parts: FakeParts, count: int) -> None:
    from loop.analysis.analyze import analyze
    from loop.gaps import coverage_view

    analyze(parts, quiet)
    view = coverage_view.build(parts, quiet)
    select.select_from(parts.project, view, Request(count, "hybrid"))


def labeled(project: Project) -> int:
    with read(project.engine) as session:
        return count_labels(session, source="annotation")


def test_answers_given_after_the_backup_are_fetched_again(parts: FakeParts, tmp_path: Path) -> None:
    ingest(parts, quiet)
    choose(parts, 5)
    push(parts)
    early = parts.server.task_keys()
    parts.server.accept(early[0])
    pull(parts)
    made = back_up(parts.project, tmp_path / "b.tar", quiet)
    write_frames(tmp_path / "incoming", bright=24, dark=0, first=600)
    ingest(parts, quiet)
    choose(parts, 12)
    push(parts)
    for key in parts.server.task_keys():
        if not parts.server.of(key).answers:
            parts.server.accept(key)
    pull(parts)
    answered = labeled(parts.project)
    assert answered == len(parts.server.tasks) > 10

    shutil.move(parts.project.root, tmp_path / "lost")
    restore(made.file, parts.project.root, quiet)
    again = FakeParts(open_project(parts.project.root), parts.server)
    first = pull(again)
    new = [key for key in parts.server.task_keys() if key not in early]
    known_then = labeled(again.project)
    assert first.adopted + len(first.waiting) == len(new)
    assert known_then == len(early) + first.adopted
    assert first.waiting
    assert f"{len(first.waiting)} answered tasks wait for frames that the project does not have" in str(
        first.lines()
    )
    assert pull(again).waiting, "they are asked for again until their frames are there"
    ingest(again, quiet)
    second = pull(again)
    assert (second.waiting, labeled(again.project)) == ([], answered)
    third = pull(again)
    assert (third.adopted, third.answers) == (0, {})
    assert {task.status for task in rows(again)} == {TaskStatus.DONE}
    choose(again, 6)
    push(again)
    assert len({task.task.key for task in parts.server.tasks}) == len(parts.server.tasks)
    again.project.engine.dispose()


def test_the_commands_say_what_they_did(parts: FakeParts, tmp_path: Path) -> None:
    root = str(parts.project.root)
    saved = CliRunner().invoke(app, ["backup", str(tmp_path / "b.tar"), "--project", root])
    assert saved.exit_code == 0
    assert "checked; 32 frames" in saved.stdout
    taken = CliRunner().invoke(app, ["restore", str(tmp_path / "b.tar"), str(tmp_path / "again")])
    assert taken.exit_code == 0, taken.output
    assert "there are no answers to fetch" in taken.stdout
