"""A Label Studio of one's own on this machine: start, stop and status of a real server that
outlives the command line.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import socket
import subprocess
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path

import httpx

from connectors.errors import LabelStudioDown, LabelStudioError
from connectors.files import draft_of, move_durably, write_atomically
from connectors.label_studio import process
from connectors.label_studio.environment import default_home, ensure_environment, locked, quiet
from connectors.label_studio.process import Record, alive, end, live_record, spawn
from connectors.ports import Progress

HOST = "127.0.0.1"
DATABASE = "label_studio.sqlite3"
LOG = "server.log"
START_SECONDS = 600.0
INHERITED = {"PATH", "HOME", "USER", "LANG", "LC_ALL", "TMPDIR", "TZ", "XDG_CONFIG_HOME", "XDG_CACHE_HOME"}


@dataclass(frozen=True, slots=True)
class ServerInfo:
    """A running server.

    token: for the API.
    username, password: for the browser.
    ready: it answers requests.
    """

    url: str
    token: str = field(repr=False)
    username: str
    password: str = field(repr=False)
    pid: int
    port: int
    ready: bool = True


@dataclass(frozen=True, slots=True)
class _Credentials:
    username: str
    password: str = field(repr=False)
    token: str = field(repr=False)
    secret_key: str = field(repr=False)


def start(
    data_dir: Path, document_root: Path, home: Path | None = None, port: int = 0, progress: Progress = quiet
) -> ServerInfo:
    """Starts the server whose data lie in data_dir, or returns the one that runs already.

    document_root: images below it can be shown.
    port: 0 takes the former port or any free one.
    The first start installs Label Studio and makes its tables.
    Raises LabelStudioError when the port is taken or the server ends at once.
    """
    environment = ensure_environment(home or default_home(), progress)
    data_dir, document_root = data_dir.resolve(), document_root.resolve()
    data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    with locked(
        data_dir / "start.lock", lambda: progress(0, 0, "waiting for another start of the same Label Studio")
    ) as lock:
        record = live_record(data_dir)
        if record and record.document_root == str(document_root) and port in (0, record.port):
            return _wait_until_ready(data_dir, record, progress)
        if record:
            progress(0, 0, "stopping Label Studio: it runs with another port or image folder")
            stop(data_dir)
        credentials = _credentials(data_dir)
        _ensure_database(data_dir, environment, credentials, progress)
        return _launch(data_dir, document_root, environment, credentials, port, lock, progress)


def status(data_dir: Path) -> ServerInfo | None:
    """The server of data_dir, `ready` when it answers; None when no such process runs."""
    record = live_record(data_dir)
    if record is None:
        return None
    credentials = _credentials(data_dir)
    return _info(record, credentials, ready=_answers(record.port, credentials))


def cut_log(data_dir: Path) -> None:
    """Keeps the log of a server that runs for months within bounds; what it said before lies beside
    it.
    """
    process.cut_log(data_dir / LOG)


def stop(data_dir: Path) -> bool:
    """Ends the server of data_dir; its data stay. False when none ran."""
    return end(data_dir)


def _launch(
    data_dir: Path,
    document_root: Path,
    environment: Path,
    credentials: _Credentials,
    port: int,
    lock: int,
    progress: Progress,
) -> ServerInfo:
    for attempt in range(3):
        chosen = _choose_port(port, data_dir, keep=attempt == 0)
        record = _spawn(data_dir, document_root, environment, credentials, chosen, lock)
        try:
            return _wait_until_ready(data_dir, record, progress)
        except _PortTaken:
            stop(data_dir)
            if port:
                break
    raise _port_busy(port)


class _PortTaken(LabelStudioError):
    """Somebody else answers on the port; Label Studio has silently gone to another."""


def _port_busy(port: int) -> LabelStudioError:
    return LabelStudioError(
        f"expected a free port for Label Studio, got port {port} that another program uses; "
        "next: give another port, or 0 for any free one"
    )


def _spawn(
    data_dir: Path, document_root: Path, environment: Path, credentials: _Credentials, port: int, lock: int
) -> Record:
    command = [*_command(environment), "start", "--no-browser", "--internal-host", HOST, "-p", str(port)]
    variables = _variables(data_dir, document_root, credentials)
    return spawn(data_dir, command, variables, data_dir / LOG, port, str(document_root), lock)


def _command(environment: Path) -> list[str]:
    return [str(environment / "bin" / "python"), "-I", "-u", "-m", "label_studio.server"]


def _variables(data_dir: Path, document_root: Path, credentials: _Credentials) -> dict[str, str]:
    # Label Studio reads any variable with or without its prefix, so it gets a clean environment instead of
    # ours.
    return {key: value for key, value in os.environ.items() if key in INHERITED} | {
        "LABEL_STUDIO_BASE_DATA_DIR": str(data_dir),
        "LABEL_STUDIO_USERNAME": credentials.username,
        "LABEL_STUDIO_PASSWORD": credentials.password,
        "LABEL_STUDIO_USER_TOKEN": credentials.token,
        "LABEL_STUDIO_ENABLE_LEGACY_API_TOKEN": "true",
        "LABEL_STUDIO_LOCAL_FILES_SERVING_ENABLED": "true",
        "LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT": str(document_root),
        "LABEL_STUDIO_DISABLE_SIGNUP_WITHOUT_LINK": "true",
        "SECRET_KEY": credentials.secret_key,
        "SENTRY_DSN": "",
        "FRONTEND_SENTRY_DSN": "",
        "LATEST_VERSION_CHECK": "false",
        "COLLECT_ANALYTICS": "false",
        "LOG_LEVEL": "WARNING",
    }


def _ensure_database(
    data_dir: Path, environment: Path, credentials: _Credentials, progress: Progress
) -> None:
    """Copies the migrated, empty database of this version (no user, organization or secret in it)
    unless there is one.
    """
    database = data_dir / DATABASE
    if database.exists():
        return
    template = environment.with_name(environment.name + ".sqlite3")
    with locked(template.with_suffix(".lock"), lambda: progress(0, 0, "waiting for Label Studio's tables")):
        if not template.exists():
            _make_template(template, environment, credentials, progress)
    with draft_of(database, private=True) as draft:
        shutil.copyfile(template, draft)


def _make_template(template: Path, environment: Path, credentials: _Credentials, progress: Progress) -> None:
    progress(0, 0, "making Label Studio's tables, once per machine (up to a few minutes)")
    work = template.with_suffix(".making")
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir()
    # `version` migrates like `start` does, and makes no user.
    made = subprocess.run(
        [*_command(environment), "version"],
        cwd=work,
        env=_variables(work, work, credentials),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )
    if made.returncode or not (work / DATABASE).exists():
        raise LabelStudioError(
            "expected Label Studio to make its tables, got exit code"
            f" {made.returncode}:\n{(made.stdout + made.stderr)[-1500:]}\nnext: free disk space if it is"
            f" full; otherwise remove {environment} and start again"
        )
    move_durably(work / DATABASE, template)
    shutil.rmtree(work)


def _wait_until_ready(data_dir: Path, record: Record, progress: Progress) -> ServerInfo:
    credentials = _credentials(data_dir)
    begun = time.monotonic()
    while (waited := time.monotonic() - begun) < START_SECONDS:
        progress(0, 0, f"waiting for Label Studio on port {record.port} ({waited:.0f} s)")
        if not alive(record):
            raise _ended_early(data_dir)
        if _answers(record.port, credentials):
            return _info(record, credentials, ready=True)
        if _went_elsewhere(data_dir):
            raise _PortTaken(f"port {record.port} was taken")
        time.sleep(0.3)
    raise LabelStudioDown(
        f"expected Label Studio to answer on port {record.port} within {START_SECONDS:.0f} s, got nothing; "
        f"next: read {data_dir / LOG}, stop it and start again"
    )


def _ended_early(data_dir: Path) -> LabelStudioError:
    log = data_dir / LOG
    tail = log.read_text(errors="replace")[-1500:] if log.exists() else ""
    return LabelStudioError(
        f"expected Label Studio to start, got an end with this in {log}:\n{tail}\nnext: mend that and start"
        " again"
    )


def _went_elsewhere(data_dir: Path) -> bool:
    log = data_dir / LOG
    return log.exists() and "Trying to start at" in log.read_text(errors="replace")


def _answers(port: int, credentials: _Credentials) -> bool:
    """Whether the server on this port is ours: it knows our token."""
    try:
        answer = httpx.get(
            f"http://{HOST}:{port}/api/current-user/whoami",
            headers={"Authorization": f"Token {credentials.token}"},
            timeout=10.0,
            trust_env=False,
        )
        return answer.status_code == 200 and answer.json()["email"] == credentials.username
    except (httpx.HTTPError, ValueError, KeyError, TypeError):
        return False


def _info(record: Record, credentials: _Credentials, ready: bool) -> ServerInfo:
    url = f"http://{HOST}:{record.port}"
    return ServerInfo(
        url, credentials.token, credentials.username, credentials.password, record.pid, record.port, ready
    )


def _choose_port(port: int, data_dir: Path, keep: bool) -> int:
    former = _read_int(data_dir / "port") if keep and not port else 0
    for candidate in filter(None, (port, former)):
        if _is_free(candidate):
            return _remember(data_dir, candidate)
    if port:
        raise _port_busy(port)
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return _remember(data_dir, int(probe.getsockname()[1]))


def _remember(data_dir: Path, port: int) -> int:
    """Browsers' bookmarks stay good when a restart keeps the port."""
    write_atomically(data_dir / "port", str(port), private=True)
    return port


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    with socket.socket() as probe:
        return probe.connect_ex(("localhost", port)) != 0


def _read_int(path: Path) -> int:
    try:
        return int(path.read_text())
    except (OSError, ValueError):
        return 0


def _credentials(data_dir: Path) -> _Credentials:
    path = data_dir / "credentials.json"
    if path.exists():
        return _Credentials(**json.loads(path.read_text()))
    # The token of an existing user cannot be set from outside: over an old database a user of a new name is
    # made.
    name = f"fieldloop-{secrets.token_hex(3)}" if (data_dir / DATABASE).exists() else "fieldloop"
    made = _Credentials(
        f"{name}@localhost", secrets.token_urlsafe(18), secrets.token_hex(20), secrets.token_urlsafe(48)
    )
    write_atomically(path, json.dumps(asdict(made)), private=True)
    return made
