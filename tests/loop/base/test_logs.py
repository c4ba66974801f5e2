"""What strangers wrote is escaped in log and terminal, what repeats is counted, files are bounded."""

from __future__ import annotations

import errno
import io
import logging
import os
from pathlib import Path

import pytest

from loop.base import logs
from loop.base.logs import RotatingLog, UntilFull, set_up
from loop.base.printable import printable
from loop.cli.app import emit, fail, say


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("cam0/plain name é 日本 🎞.jpg", "cam0/plain name é 日本 🎞.jpg"),
        ("a\nERROR forged", "a\\nERROR forged"),
        ("\x1b[2J\x1b]0;title\x07", "\\x1b[2J\\x1b]0;title\\x07"),
        ("\r\x7f\x9b31m", "\\r\\x7f\\x9b31m"),
        ("gpj.\u202eexe", "gpj.\\u202eexe"),
        ("half \udce9", "half \\udce9"),
        ("a\u2028b", "a\\u2028b"),
    ],
)
def test_what_a_terminal_would_obey_is_escaped(text: str, shown: str) -> None:
    assert printable(text) == shown
    assert printable("fine") == "fine"


def test_several_lines_are_set_in_where_they_are_meant() -> None:
    assert (
        printable("the end of its log:\nERROR x\x1b", line_ends=True) == "the end of its log:\n  ERROR x\\x1b"
    )


def test_the_terminal_gets_no_control_characters(capsys: pytest.CaptureFixture[str]) -> None:
    say("kept \x1b[31m")
    emit(None, False, lambda: ["set aside a\x07\rb", "new\nline.jpg"])
    with pytest.raises(SystemExit):
        fail("bad\x1b[0m", 1)
    out, err = capsys.readouterr()
    assert (out, err) == ("set aside a\\x07\\rb\nnew\\nline.jpg\n", "kept \\x1b[31m\nerror bad\\x1b[0m\n")


@pytest.fixture
def logger() -> logging.Logger:
    made = logging.Logger("loop.test")
    made.propagate = False
    return made


def test_a_message_is_one_line_and_a_traceback_keeps_its_own(logger: logging.Logger) -> None:
    stream = io.StringIO()
    logger.addHandler(set_up(logging.StreamHandler(stream)))
    logger.warning("%s: odd", "a\nERROR loop: forged\x1b")
    try:
        raise ValueError("in\x1bside")
    except ValueError:
        logger.exception("failed")
    lines = stream.getvalue().splitlines()
    assert lines[0] == "WARNING loop.test: a\\nERROR loop: forged\\x1b: odd"
    assert lines[1:3] == ["ERROR loop.test: failed", "Traceback (most recent call last):"]
    assert lines[-1] == "ValueError: in\\x1bside"


def test_what_repeats_is_counted(logger: logging.Logger, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(logs.time, "monotonic", lambda: now[0])
    stream = io.StringIO()
    logger.addHandler(set_up(logging.StreamHandler(stream)))
    for number in range(1000):
        if number == 999:
            now[0] = logs.ALIKE_WITHIN_S + 1
        logger.warning("accept failed %d", number)
    lines = stream.getvalue().splitlines()
    assert len(lines) == logs.MOST_ALIKE + 1
    assert lines[-1] == "WARNING loop.test: accept failed 999 (979 like it were left out of the log)"


def test_the_log_file_rotates_and_is_for_its_owner(
    logger: logging.Logger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logs, "FILE_BYTES", 2000)
    monkeypatch.setattr(logs, "MOST_ALIKE", 10_000)
    handler = RotatingLog(tmp_path / "logs" / "serve.log")
    logger.addHandler(handler)
    for number in range(400):
        logger.warning("line %d of many that say the same again and again", number)
    handler.close()
    found = sorted((tmp_path / "logs").iterdir())
    assert [path.name for path in found] == ["serve.log", "serve.log.1", "serve.log.2", "serve.log.3"]
    assert all(path.stat().st_size <= 2000 for path in found)
    assert {path.stat().st_mode & 0o777 for path in found} == {0o600}
    assert "line 399" in (tmp_path / "logs" / "serve.log").read_text()


def test_a_full_disk_does_not_stop_what_is_logged(
    logger: logging.Logger,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def full(record: logging.LogRecord) -> bool:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    handler = RotatingLog(tmp_path / "full.log")
    monkeypatch.setattr(handler, "shouldRollover", full)
    logger.addHandler(handler)
    logger.warning("no room")
    assert capsys.readouterr().err == ""


def test_a_file_of_stderr_takes_so_much_and_no_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, logger: logging.Logger
) -> None:
    monkeypatch.setattr(logs, "FILE_BYTES", 2_000)
    path = tmp_path / "stderr"
    with path.open("a", encoding="utf-8") as stream:
        handler = logging.StreamHandler(stream)
        handler.addFilter(UntilFull(stream, tmp_path / "serve.log"))
        logger.addHandler(handler)
        for number in range(1000):
            logger.warning("line %d", number)
        kept = path.read_text().splitlines()
        assert kept[:2] == ["line 0", "line 1"]
        assert kept[-1] == f"this file holds 0.002 MB and takes no more; {tmp_path / 'serve.log'} goes on"
        assert path.stat().st_size < 2_200
        os.truncate(path, 0)
        logger.warning("cut by somebody")
    assert path.read_text() == "cut by somebody\n"


def test_what_is_no_file_takes_all(logger: logging.Logger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "FILE_BYTES", 10)
    source, sink = os.pipe()
    with os.fdopen(source) as reader, os.fdopen(sink, "w") as stream:
        handler = logging.StreamHandler(stream)
        handler.addFilter(UntilFull(stream, Path("serve.log")))
        logger.addHandler(handler)
        logger.warning("a line of more than ten bytes")
        logger.warning("another one")
        stream.close()
        assert reader.read() == "a line of more than ten bytes\nanother one\n"
