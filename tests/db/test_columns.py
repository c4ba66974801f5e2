"""Columns are what was added to them, whenever a process stops and whoever else writes."""

from __future__ import annotations

import json
import multiprocessing
import os
import shutil
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from db.columns import HEADER, Column, Columns, forget_others, locked

STAMP = "numbers 1"
FRAMES = {"frame": Column("<i8"), "vector": Column("<f2", (3,))}
BOXES = {"score": Column("<f4", axis="box")}


def opened(folder: Path, stamp: str = STAMP) -> Columns:
    with locked(folder):
        return Columns(folder, stamp)


def some(start: int, count: int) -> dict[str, np.ndarray]:
    ids = np.arange(start, start + count)
    return {"frame": ids, "vector": np.repeat(ids[:, None], 3, axis=1) / 2}


def add(folder: Path, start: int, count: int) -> Columns:
    with locked(folder):
        columns = Columns(folder, STAMP)
        columns.append(some(start, count), FRAMES, {"last": start + count - 1})
    return columns


def holds(columns: Columns, count: int) -> bool:
    """Whether these are the rows 0 to `count`."""
    wanted = some(0, count)
    return len(columns) == count and all(
        np.array_equal(columns[name], wanted[name]) for name in columns.columns
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Seven rows, added in two steps."""
    made = tmp_path / "views" / "numbers-1"
    add(made, 0, 4)
    add(made, 4, 3)
    return made


def test_rows_are_found_again_in_order(folder: Path) -> None:
    found = opened(folder)
    assert holds(found, 7)
    assert found.notes == {"last": 6}
    assert found.part("vector", 2, 4)[:, 0].tolist() == [1.0, 1.5]
    assert found.part("frame", 5, 99).tolist() == [5, 6]
    assert found.part("frame", 7, 9).shape == found.part("frame", 4, 2).shape == (0,)
    assert not found["frame"].flags.writeable


def test_a_part_may_begin_anywhere_in_the_file(tmp_path: Path) -> None:
    add(tmp_path, 0, 5000)
    found = opened(tmp_path)
    for start in (0, 1, 511, 512, 513, 682, 683, 4999):
        assert found.part("frame", start, start + 2).tolist() == list(range(start, min(start + 2, 5000)))
        np.testing.assert_array_equal(found.part("vector", start, 5000), found["vector"][start:])


def test_a_column_that_is_new_is_filled_up_before_the_rows(folder: Path) -> None:
    light = {"light": Column("<f8", empty=float("nan"))}
    with locked(folder):
        columns = Columns(folder, STAMP)
        columns.append(some(7, 2) | {"light": np.array([0.25, 0.5])}, FRAMES | light)
        columns.append(some(9, 1), {})
    found = opened(folder)
    assert found["frame"].tolist() == list(range(10))
    np.testing.assert_array_equal(found["light"], [*[np.nan] * 7, 0.25, 0.5, np.nan])


def test_axes_grow_on_their_own(tmp_path: Path) -> None:
    none = np.zeros(0)
    with locked(tmp_path):
        columns = Columns(tmp_path, STAMP)
        columns.append(some(0, 2) | {"score": none}, FRAMES | BOXES)
        columns.append(some(2, 1) | {"score": np.array([0.5, 0.75])}, FRAMES | BOXES)
    found = opened(tmp_path)
    assert (len(found), found["score"].tolist()) == (3, [0.5, 0.75])


def test_what_a_stopped_process_left_is_written_over(folder: Path) -> None:
    """Files longer than the header says, one of a column that it does not know."""
    with (folder / "frame").open("ab") as file:
        file.write(b"\xff" * 20)
    (folder / "light").write_bytes(b"\xff" * 100)
    assert holds(opened(folder), 7)
    with locked(folder):
        columns = Columns(folder, STAMP)
        columns.append(some(7, 1) | {"light": np.array([0.5])}, FRAMES | {"light": Column("<f8")})
    found = opened(folder)
    assert found["frame"].tolist() == list(range(8))
    assert found["light"].tolist() == [0.0] * 7 + [0.5]
    assert (folder / "light").stat().st_size == 64


@pytest.mark.parametrize("step", range(1, 4))
def test_where_there_is_no_room_to_write_nothing_was_added(
    folder: Path, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    """A full disk: the old state goes on to be usable, in this process and in the next."""
    before = opened(folder)
    held, calls = before["frame"], iter(range(1, 99))

    def full(number: int) -> None:
        if next(calls) == step:
            raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched, locked(folder):
        columns = Columns(folder, STAMP)
        patched.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="No space left"):
            columns.append(some(7, 2), FRAMES, {"last": 8})
    assert holds(columns, 7)
    assert columns.notes == {"last": 6}
    assert holds(opened(folder), 7)
    assert not list(folder.glob("*.part"))
    with locked(folder):
        columns.append(some(7, 2), FRAMES)
    assert holds(columns, 9)
    assert holds(opened(folder), 9)
    assert held.tolist() == list(range(7))


def test_a_full_disk_at_the_very_first_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", lambda number: (_ for _ in ()).throw(OSError("full")))
        patched.setattr("db.columns.make_folder", lambda folder: folder.mkdir(parents=True, exist_ok=True))
        with pytest.raises(OSError, match="full"):
            add(tmp_path / "numbers", 0, 3)
    assert len(opened(tmp_path / "numbers")) == 0
    assert holds(add(tmp_path / "numbers", 0, 3), 3)


def header(folder: Path) -> Any:
    return json.loads((folder / HEADER).read_text())


DAMAGED = ["", "{", "[]", "7", "null", '"text"', "\x00\xff", '{"stamp": "numbers 1"}']


@pytest.mark.parametrize("text", DAMAGED)
def test_a_header_that_cannot_be_read_counts_as_none(folder: Path, text: str) -> None:
    (folder / HEADER).write_bytes(text.encode("latin-1"))
    assert len(opened(folder)) == 0
    assert holds(add(folder, 0, 5), 5)
    assert holds(opened(folder), 5)


@pytest.mark.parametrize(
    "change",
    [
        {"stamp": "numbers 2"},
        {"columns": {"frame": {"dtype": "<i8", "shape": [], "axis": "box", "empty": 0}}},
        {"columns": {"frame": {"dtype": "what", "shape": [], "axis": "frame", "empty": 0}}},
        {"columns": {"frame": {"width": 8}}},
        {"columns": ["frame"]},
        {"rows": {"frame": 8}},
        {"rows": {"frame": "many"}},
        {"notes": 7},
    ],
)
def test_a_header_of_another_stamp_or_of_other_files_counts_as_none(
    folder: Path, change: dict[str, Any]
) -> None:
    (folder / HEADER).write_text(json.dumps(header(folder) | change))
    assert len(opened(folder)) == 0
    assert holds(add(folder, 0, 2), 2)


@pytest.mark.parametrize("cut", [1, 8, 56])
def test_a_file_shorter_than_the_header_says_counts_as_none(folder: Path, cut: int) -> None:
    os.truncate(folder / "frame", 56 - cut)
    assert len(opened(folder)) == 0
    assert holds(add(folder, 0, 2), 2)


def test_a_file_that_is_gone_counts_as_none(folder: Path) -> None:
    (folder / "vector").unlink()
    assert "frame" not in opened(folder)


def test_an_older_header_knows_its_own_rows(folder: Path) -> None:
    old = (folder / HEADER).read_bytes()
    add(folder, 7, 5)
    (folder / HEADER).write_bytes(old)
    assert holds(opened(folder), 7)
    assert holds(add(folder, 7, 1), 8)


def test_what_was_opened_stays_when_the_columns_grow(folder: Path) -> None:
    found = opened(folder)
    held = found["vector"]
    add(folder, 7, 100)
    assert holds(found, 7)
    np.testing.assert_array_equal(held, some(0, 7)["vector"])


def test_what_was_opened_stays_when_the_columns_are_made_anew(folder: Path) -> None:
    """It was mapped by name, when it was looked at: the rows of others then, or too few of them."""
    found = opened(folder)
    held = found["frame"]
    with locked(folder):
        columns = Columns(folder, STAMP)
        columns.clear()
        columns.append(some(50, 2), FRAMES)
    assert opened(folder)["frame"].tolist() == [50, 51]
    assert held.tolist() == list(range(7))
    assert holds(found, 7)
    assert found.part("vector", 3, 5)[:, 0].tolist() == [1.5, 2.0]


def test_what_was_opened_stays_when_the_folder_is_removed(folder: Path) -> None:
    found = opened(folder)
    shutil.rmtree(folder)
    assert holds(found, 7)


def test_columns_begun_anew_say_so(folder: Path) -> None:
    before = opened(folder).made
    assert before
    assert add(folder, 7, 1).made == opened(folder).made == before
    with locked(folder):
        columns = Columns(folder, STAMP)
        columns.clear()
        assert columns.made == ""
        columns.append(some(0, 8), FRAMES)
    assert opened(folder).made == columns.made
    assert columns.made not in ("", before)


def test_folders_of_other_producers_are_removed(tmp_path: Path) -> None:
    for name in ("near-3", "near-5", "near-own-3", "nearer-3", "frames"):
        add(tmp_path / name, 0, 1)
    (tmp_path / "near.faiss").write_bytes(b"")
    forget_others(tmp_path / "near-5")
    forget_others(tmp_path / "frames")
    assert sorted(path.name for path in tmp_path.iterdir() if not path.name.startswith(".")) == [
        "frames",
        "near-5",
        "near-own-3",
        "near.faiss",
        "nearer-3",
    ]


def test_a_folder_that_somebody_works_on_is_not_removed(tmp_path: Path) -> None:
    """Its lock went with it: the next one had a lock of his own, and both wrote."""
    busy, other = tmp_path / "near-3", tmp_path / "near-5"
    add(busy, 0, 3)
    add(other, 0, 1)
    with locked(busy):
        columns = Columns(busy, STAMP)
        forget_others(other)
        columns.append(some(3, 2), FRAMES)
    assert holds(opened(busy), 5)
    forget_others(other)
    assert not busy.exists()


def test_who_waited_for_a_folder_that_was_removed_makes_it_again(tmp_path: Path) -> None:
    gone, other = tmp_path / "near-3", tmp_path / "near-5"
    add(gone, 0, 3)
    add(other, 0, 1)
    entered, leave = threading.Event(), threading.Event()

    def hold() -> None:
        with locked(gone):
            entered.set()
            leave.wait(10)

    with ThreadPoolExecutor(2) as pool:
        holding = pool.submit(hold)
        assert entered.wait(10)
        waiting = pool.submit(add, gone, 0, 2)
        shutil.rmtree(gone)
        leave.set()
        holding.result(10)
        assert holds(waiting.result(10), 2)
    assert holds(opened(gone), 2)


def _grow(folder: Path, times: int) -> None:
    for _ in range(times):
        with locked(folder):
            columns = Columns(folder, STAMP)
            columns.append(some(len(columns), 3), FRAMES)


def test_threads_and_processes_that_write_at_once_lose_nothing(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    child = context.Process(target=_grow, args=(tmp_path, 5))
    child.start()
    with ThreadPoolExecutor(3) as pool:
        list(pool.map(_grow, [tmp_path] * 3, [5] * 3))
    child.join(60)
    assert child.exitcode == 0
    assert holds(opened(tmp_path), 60)


def test_columns_need_nothing_large() -> None:
    code = "import sys, db.columns; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = {name.partition(".")[0] for name in done.stdout.split()}
    assert "numpy" in loaded
    assert not loaded & {"sqlalchemy", "faiss", "torch", "scipy", "sklearn", "pandas", "PIL", "loop"}
