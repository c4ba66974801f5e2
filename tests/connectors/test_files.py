"""A file is whole or it is not there, whatever stops its writer, and it is on disk once it is said
to be.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from connectors import files
from connectors.files import draft_of, make_folder, move_durably, sha256_of_file, write_atomically


@pytest.fixture
def synced(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Every file and folder that is put on disk, in order."""
    done: list[Path] = []
    fsync = os.fsync

    def remember(handle: int) -> None:
        done.append(Path(f"/proc/self/fd/{handle}").readlink())
        fsync(handle)

    monkeypatch.setattr(os, "fsync", remember)
    return done


@pytest.fixture(params=[0o022, 0o077])
def umask(request: pytest.FixtureRequest) -> Iterator[int]:
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_bytes_and_text_are_written_as_they_are(tmp_path: Path) -> None:
    write_atomically(tmp_path / "a", b"\xff\x00\r\n")
    write_atomically(tmp_path / "b", "gr\u00fc\u00df\r\ndich\n")
    assert (tmp_path / "a").read_bytes() == b"\xff\x00\r\n"
    assert (tmp_path / "b").read_bytes() == b"gr\xc3\xbc\xc3\x9f\r\ndich\n"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b"]


def test_the_content_is_on_disk_before_its_name_and_the_name_before_the_return(
    tmp_path: Path, synced: list[Path]
) -> None:
    write_atomically(tmp_path / "new" / "folder" / "a.json", "{}")
    parent, folder, draft, named = synced
    assert (parent, folder, named) == (tmp_path, tmp_path / "new", tmp_path / "new" / "folder")
    assert draft.parent == named
    assert draft.name.startswith(".a.json.")
    assert draft.suffix == ".part"


def test_the_umask_decides_who_may_read_and_private_is_private(tmp_path: Path, umask: int) -> None:
    write_atomically(tmp_path / "page.html", "x")
    write_atomically(tmp_path / "token", "x", private=True)
    assert mode_of(tmp_path / "page.html") == 0o666 & ~umask
    assert mode_of(tmp_path / "token") == 0o600


def test_a_secret_is_private_before_it_is_written(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("old")
    (tmp_path / "token").chmod(0o644)
    with draft_of(tmp_path / "token", private=True) as draft:
        assert mode_of(draft) == 0o600
        draft.write_text("new")
    assert mode_of(tmp_path / "token") == 0o600


@pytest.mark.parametrize("call", ["fsync", "open"])
def test_a_failed_write_leaves_what_was_there_and_nothing_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    (tmp_path / "a").write_bytes(b"before")

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, call, full)
    with pytest.raises(OSError, match="No space left"):
        write_atomically(tmp_path / "a", b"after")
    monkeypatch.undo()
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("a", b"before")]


def test_a_full_disk_is_told_with_the_file(tmp_path: Path) -> None:
    """The system names none where a write fails."""
    with pytest.raises(OSError) as caught, files.draft_of(tmp_path / "a.jpg"):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert caught.value.filename == str(tmp_path / "a.jpg")


def test_a_draft_that_is_given_up_is_gone(tmp_path: Path) -> None:
    def give_up() -> None:
        with draft_of(tmp_path / "a") as draft:
            draft.write_bytes(b"half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        give_up()
    assert list(tmp_path.iterdir()) == []


def test_a_killed_writer_leaves_the_former_file(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"before")
    script = (
        "import os, sys; from pathlib import Path; from connectors.files import draft_of\n"
        "with draft_of(Path(sys.argv[1])) as draft:\n"
        "    draft.write_bytes(b'half')\n"
        "    os.kill(os.getpid(), 9)\n"
    )
    root = Path(files.__file__).parents[1]
    ended = subprocess.run([sys.executable, "-c", script, str(tmp_path / "a")], cwd=root)
    assert ended.returncode == -9
    assert (tmp_path / "a").read_bytes() == b"before"
    write_atomically(tmp_path / "a", b"after")
    assert (tmp_path / "a").read_bytes() == b"after"


def test_writers_of_one_file_do_not_meet(tmp_path: Path) -> None:
    contents = [bytes([number]) * 50_000 for number in range(24)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda data: write_atomically(tmp_path / "a", data), contents))
    assert (tmp_path / "a").read_bytes() in contents
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_a_folder_is_moved_with_all_that_lies_in_it(tmp_path: Path, synced: list[Path]) -> None:
    draft = tmp_path / "draft"
    (draft / "labels" / "train").mkdir(parents=True)
    (draft / "labels" / "train" / "a.txt").write_text("0 0.5 0.5 0.1 0.1\n")
    move_durably(draft, tmp_path / "out")
    assert not draft.exists()
    assert (tmp_path / "out" / "labels" / "train" / "a.txt").read_text() == "0 0.5 0.5 0.1 0.1\n"
    inside = [draft, draft / "labels", draft / "labels" / "train", draft / "labels" / "train" / "a.txt"]
    assert sorted(synced[:-1]) == inside
    assert synced[-1] == tmp_path


def test_file_systems_that_do_not_sync_folders_are_taken_as_they_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fsync = os.fsync

    def refuse_folders(handle: int) -> None:
        if stat.S_ISDIR(os.fstat(handle).st_mode):
            raise OSError(errno.EINVAL, "Invalid argument")
        fsync(handle)

    monkeypatch.setattr(os, "fsync", refuse_folders)
    write_atomically(tmp_path / "new" / "a", b"x")
    assert (tmp_path / "new" / "a").read_bytes() == b"x"


def test_a_file_where_a_folder_should_be_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"x")
    with pytest.raises(FileExistsError):
        make_folder(tmp_path / "a")


def test_the_hash_of_a_file_is_that_of_its_bytes(tmp_path: Path) -> None:
    data = bytes(range(256)) * 10_000
    (tmp_path / "a").write_bytes(data)
    assert sha256_of_file(tmp_path / "a") == hashlib.sha256(data).hexdigest()
    with pytest.raises(FileNotFoundError):
        sha256_of_file(tmp_path / "b")
