"""A Label Studio of one's own: installed once, started once, found again, ended cleanly."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import pytest

from connectors.errors import LabelStudioError
from connectors.label_studio import environment as env
from connectors.label_studio import process, server
from connectors.label_studio.backend import LabelStudio
from tests.studio import Studio

REPOSITORY = Path(__file__).parents[3]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home with blank"


@pytest.fixture
def installs(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """Records what would be run instead of running it."""
    ran: list[list[str]] = []

    def run(command: list[str], on_line: object) -> None:
        ran.append(command)
        if command[1:3] == ["-m", "venv"]:
            (Path(command[3]) / "bin").mkdir(parents=True)

    monkeypatch.setattr(env, "_run", run)
    return ran


def test_home_follows_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("FIELDLOOP_HOME", str(tmp_path / "own"))
    assert env.default_home() == tmp_path / "own"
    monkeypatch.delenv("FIELDLOOP_HOME")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert env.default_home() == tmp_path / "fieldloop"
    monkeypatch.delenv("XDG_DATA_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert env.default_home() == tmp_path / ".local/share/fieldloop"


def test_the_environment_is_installed_from_hashes_once(home: Path, installs: list[list[str]]) -> None:
    made = env.ensure_environment(home)
    assert made == env.environment_path(home)
    assert installs[0][1:] == ["-m", "venv", str(made)]
    assert installs[1][0] == str(made / "bin" / "python")
    assert installs[1][-3:] == ["--require-hashes", "-r", str(env.LOCK)]
    assert env.ensure_environment(home) == made
    assert len(installs) == 2


def test_a_half_made_environment_is_made_again(home: Path, installs: list[list[str]]) -> None:
    half = env.environment_path(home) / "lib" / "half"
    half.mkdir(parents=True)
    env.ensure_environment(home)
    assert not half.exists()
    assert len(installs) == 2


def test_of_two_installs_one_waits(home: Path, installs: list[list[str]]) -> None:
    said: list[str] = []
    home.mkdir()
    lock = env.environment_path(home).with_name(env.environment_path(home).name + ".lock")
    with env.locked(lock, pytest.fail):
        second = threading.Thread(
            target=env.ensure_environment, args=(home, lambda d, t, what: said.append(what))
        )
        second.start()
        while not said:
            time.sleep(0.01)
        assert installs == []
    second.join()
    assert said[0] == "waiting for another process to install"
    assert len(installs) == 2


@pytest.mark.slow
def test_a_failed_install_shows_pips_last_words_and_stays_unfinished(
    home: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    lock = tmp_path / "lock.txt"
    lock.write_text("no-such-package-of-fieldloop==1.0 --hash=sha256:" + "0" * 64 + "\n")
    monkeypatch.setattr(env, "LOCK", lock)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    said: list[tuple[int, int, str]] = []
    with pytest.raises(LabelStudioError, match=r"got exit code 1 from -m pip install:\n") as caught:
        env.ensure_environment(home, lambda *report: said.append(report))
    assert "No matching distribution found for no-such-package-of-fieldloop==1.0" in str(caught.value)
    assert "next: mend the network or pip's configuration" in str(caught.value)
    assert not env.is_complete(env.environment_path(home))
    assert said[0] == (0, 1, f"creating {env.environment_path(home)}")


def test_the_lock_holds_hashes_and_no_address() -> None:
    text = env.LOCK.read_text()
    assert "label-studio==1.23.2" in text
    assert "://" not in text
    assert "--index" not in text


def test_a_running_process_is_told_from_another_of_the_same_number(tmp_path: Path) -> None:
    started = process._process_start(os.getpid())
    assert started is not None
    ours = process.Record(os.getpid(), started, 1, "/")
    assert process.alive(ours)
    (tmp_path / "server.json").write_text(json.dumps(asdict(ours) | {"started": "0"}))
    assert server.status(tmp_path) is None
    assert server.stop(tmp_path) is False
    assert not (tmp_path / "server.json").exists()


def test_a_zombie_does_not_run() -> None:
    child = subprocess.Popen([sys.executable, "-c", ""])
    while Path(f"/proc/{child.pid}/stat").read_text().split()[2] != "Z":
        time.sleep(0.01)
    assert process._process_start(child.pid) is None
    child.wait()
    assert process._process_start(child.pid) is None


@pytest.mark.parametrize("text", ["", "{", "[]", '{"pid": 1}'])
def test_a_broken_record_is_no_server(tmp_path: Path, text: str) -> None:
    (tmp_path / "server.json").write_text(text)
    assert server.status(tmp_path) is None


def test_credentials_are_kept_to_oneself_and_out_of_sight(tmp_path: Path) -> None:
    made = server._credentials(tmp_path)
    assert server._credentials(tmp_path) == made
    assert (tmp_path / "credentials.json").stat().st_mode & 0o777 == 0o600
    assert len(made.token) == 40
    assert int(made.token, 16) >= 0
    info = server.ServerInfo("http://x", made.token, made.username, made.password, 1, 2)
    assert not any(secret in repr((made, info)) for secret in (made.token, made.password, made.secret_key))


def test_a_lost_credentials_file_makes_another_user(tmp_path: Path) -> None:
    first = server._credentials(tmp_path)
    (tmp_path / server.DATABASE).touch()
    (tmp_path / "credentials.json").unlink()
    second = server._credentials(tmp_path)
    assert first.username == "fieldloop@localhost"
    assert second.username.startswith("fieldloop-")


def test_the_former_port_is_kept_and_a_busy_one_is_not(tmp_path: Path) -> None:
    port = server._choose_port(0, tmp_path, keep=True)
    assert server._choose_port(0, tmp_path, keep=True) == port
    with socket.create_server(("127.0.0.1", port)):
        assert server._choose_port(0, tmp_path, keep=True) != port
        with pytest.raises(
            LabelStudioError, match=rf"got port {port} that another program uses; next: give another port"
        ):
            server._choose_port(port, tmp_path, keep=True)


def test_the_server_inherits_no_setting_by_accident(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DJANGO_DB", "default")
    monkeypatch.setenv("LABEL_STUDIO_HOST", "http://elsewhere")
    given = server._variables(tmp_path, tmp_path, server._credentials(tmp_path))
    assert "DJANGO_DB" not in given
    assert "LABEL_STUDIO_HOST" not in given
    assert {given[name] for name in ("COLLECT_ANALYTICS", "LATEST_VERSION_CHECK")} == {"false"}
    assert {given[name] for name in ("SENTRY_DSN", "FRONTEND_SENTRY_DSN")} == {""}


KILLED_AT_THE_START = """
import os, signal, subprocess, sys
sys.path.insert(0, sys.argv[1])
from pathlib import Path
from connectors.label_studio import environment as env
from connectors.label_studio import process

class Popen(subprocess.Popen):
    def __init__(self, *given, **more):
        super().__init__(*given, **more)
        os.kill(os.getpid(), signal.SIGKILL)

process.subprocess.Popen = Popen
folder = Path(sys.argv[2])
with env.locked(folder / "start.lock", sys.exit) as lock:
    process.spawn(folder, ["/bin/sleep", "60"], {}, folder / "server.log", 7, "/images", lock)
"""


def test_a_server_whose_starter_was_killed_at_once_is_found(tmp_path: Path) -> None:
    command = [sys.executable, "-P", "-c", KILLED_AT_THE_START, str(REPOSITORY), str(tmp_path)]
    assert subprocess.run(command).returncode == -signal.SIGKILL
    with env.locked(tmp_path / "start.lock", lambda: None):
        found = process.live_record(tmp_path)
        assert found is not None, "the lock was free before the server was on record"
    assert (found.port, found.document_root) == (7, "/images")
    assert Path(f"/proc/{found.pid}/cmdline").read_bytes().split(b"\0")[:2] == [b"/bin/sleep", b"60"]
    info = server.status(tmp_path)
    assert info is not None
    assert (info.pid, info.ready) == (found.pid, False)
    assert server.stop(tmp_path) is True
    assert process._process_start(found.pid) is None


def test_a_server_that_cannot_be_run_says_why(tmp_path: Path) -> None:
    with env.locked(tmp_path / "start.lock", pytest.fail) as lock:
        record = process.spawn(
            tmp_path, ["/no/such/program"], {}, tmp_path / "server.log", 7, "/images", lock
        )
    while process.alive(record):
        time.sleep(0.01)
    assert "FileNotFoundError" in (tmp_path / "server.log").read_text()
    with pytest.raises(LabelStudioError, match=r"(?s)to start, got an end with this in .*FileNotFound"):
        raise server._ended_early(tmp_path)


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A data folder whose server is ended afterwards."""
    (tmp_path / "images").mkdir()
    yield tmp_path / "data of one"
    server.stop(tmp_path / "data of one")


@pytest.mark.studio
@pytest.mark.slow
def test_start_again_stop_and_restart(folder: Path) -> None:
    images = folder.parent / "images"
    first = server.start(folder, images)
    assert server.start(folder, images) == first
    assert server.status(folder) == first
    project = LabelStudio(first.url, first.token, "upload").ensure_project("kept", ["a"], "", None)
    begun = time.monotonic()
    assert server.stop(folder) is True
    assert time.monotonic() - begun < process.STOP_SECONDS
    assert server.status(folder) is None
    assert server.stop(folder) is False
    second = server.start(folder, images)
    assert (second.url, second.token, second.password) == (first.url, first.token, first.password)
    assert second.pid != first.pid
    LabelStudio(second.url, second.token, "upload").check(project.external_id, ["a"])
    logs = b"".join(path.read_bytes() for path in folder.glob("server.log*"))
    assert logs
    assert not any(secret.encode() in logs for secret in (first.token, first.password))


@pytest.mark.studio
@pytest.mark.slow
def test_another_image_folder_and_a_killed_server_mean_a_new_process(folder: Path) -> None:
    images = folder.parent / "images"
    first = server.start(folder, images)
    os.kill(first.pid, signal.SIGKILL)
    while server.status(folder) is not None:
        time.sleep(0.05)
    second = server.start(folder, images)
    (folder.parent / "other").mkdir()
    said: list[str] = []
    third = server.start(folder, folder.parent / "other", progress=lambda d, t, what: said.append(what))
    assert len({first.pid, second.pid, third.pid}) == 3
    assert said[0] == "stopping Label Studio: it runs with another port or image folder"


@pytest.mark.studio
@pytest.mark.slow
def test_the_server_outlives_the_process_that_started_it(folder: Path) -> None:
    script = (
        "import sys; sys.path.insert(0, sys.argv[1]); from pathlib import Path;"
        "from connectors.label_studio import server as s;"
        "print(s.start(Path(sys.argv[2]), Path(sys.argv[3])).pid)"
    )
    command = [
        sys.executable,
        "-P",
        "-c",
        script,
        str(REPOSITORY),
        str(folder),
        str(folder.parent / "images"),
    ]
    started = subprocess.run(command, capture_output=True, text=True, check=True)
    running = server.status(folder)
    assert running is not None
    assert running.ready
    assert running.pid == int(started.stdout)
    assert os.getsid(running.pid) != os.getsid(0)


@pytest.mark.studio
@pytest.mark.slow
def test_a_port_that_somebody_takes_meanwhile_is_noticed(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as busy:
        taken = busy.getsockname()[1]
        choose = server._choose_port
        monkeypatch.setattr(
            server, "_choose_port", lambda port, data, keep: taken if keep else choose(port, data, keep)
        )
        running = server.start(folder, folder.parent / "images")
    assert running.port != taken
    assert running.ready


@pytest.mark.studio
@pytest.mark.slow
def test_the_database_that_is_copied_holds_nobody(label_studio: Studio) -> None:
    template = env.environment_path(env.default_home())
    with sqlite3.connect(f"file:{template}.sqlite3?mode=ro", uri=True) as database:
        counted = {
            table: database.execute(f"select count(*) from {table}").fetchone()[0]
            for table in (
                "htx_user",
                "organization",
                "authtoken_token",
                "project",
                "django_session",
                "django_migrations",
            )
        }
    database.close()
    assert counted.pop("django_migrations") > 300
    assert set(counted.values()) == {0}


def test_a_copied_folder_does_not_take_the_process_for_its_own(tmp_path: Path) -> None:
    ours, copied, moved = tmp_path / "ours", tmp_path / "copy", tmp_path / "moved"
    ours.mkdir()
    with env.locked(ours / "start.lock", pytest.fail) as lock:
        record = process.spawn(ours, ["/bin/sleep", "60"], {}, ours / "server.log", 7, "/images", lock)
    shutil.copytree(ours, copied)
    assert process.live_record(copied) is None
    assert server.stop(copied) is False
    assert process.alive(record)
    ours.rename(moved)
    assert process.live_record(moved) == record
    assert server.stop(moved) is True
    assert not process.alive(record)


def test_the_log_of_a_running_server_is_cut(tmp_path: Path) -> None:
    script = "import time\nwhile True: print('x' * 99, flush=True); time.sleep(.01)"
    with env.locked(tmp_path / "start.lock", pytest.fail) as lock:
        process.spawn(tmp_path, [sys.executable, "-c", script], {}, tmp_path / "server.log", 7, "/", lock)
    log = tmp_path / "server.log"
    while log.stat().st_size < 3000:
        time.sleep(0.02)
    process.cut_log(log, most=2000)
    assert (tmp_path / "server.log.1").stat().st_size >= 3000
    assert log.stat().st_size < 2000
    while log.stat().st_size < 300:
        time.sleep(0.02)
    assert log.read_bytes().startswith(b"x" * 99), "and no hole where the old end was"
    assert {path.stat().st_mode & 0o777 for path in (log, tmp_path / "server.log.1")} == {0o600}
    assert server.stop(tmp_path)
    process.cut_log(tmp_path / "none.log")
