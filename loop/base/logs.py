"""Our log: what strangers wrote is escaped, what repeats is counted, and its file never grows without
end.
"""

from __future__ import annotations

import logging
import os
import stat
import time
from dataclasses import dataclass
from logging.handlers import RotatingFileHandler
from pathlib import Path
from types import TracebackType
from typing import TextIO

from loop.base.printable import printable

FORMAT = "%(levelname)s %(name)s: %(message)s"
FILE_BYTES, FILES_KEPT = 10_000_000, 3
MOST_ALIKE, ALIKE_WITHIN_S = 20, 60.0
ExcInfo = tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None]


class Escaped(logging.Formatter):
    """One line for one message, whatever it holds; tracebacks keep their lines."""

    def formatMessage(self, record: logging.LogRecord) -> str:
        record.message = printable(record.message)
        return super().formatMessage(record)

    def formatException(self, ei: ExcInfo) -> str:
        return "\n".join(printable(line) for line in super().formatException(ei).split("\n"))


@dataclass
class _Alike:
    since: float
    count: int = 0


class Counted(logging.Filter):
    """Of messages from one place in the code, MOST_ALIKE a minute come through; the next that does
    says how many did not.
    """

    def __init__(self) -> None:
        super().__init__()
        self._places: dict[tuple[str, int], _Alike] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        place, now = (record.pathname, record.lineno), time.monotonic()
        seen = self._places.setdefault(place, _Alike(now))
        if now - seen.since >= ALIKE_WITHIN_S:
            held_back = seen.count - MOST_ALIKE
            self._places[place] = seen = _Alike(now)
            if held_back > 0:
                record.msg = f"{record.getMessage()} ({held_back} like it were left out of the log)"
                record.args = None
        seen.count += 1
        return seen.count <= MOST_ALIKE


class UntilFull(logging.Filter):
    """Lets nothing more through once the file that a stream writes to holds FILE_BYTES; the last line
    names the log that goes on. A terminal, a pipe and the journal take all.
    """

    def __init__(self, stream: TextIO, goes_on: Path) -> None:
        super().__init__()
        self._stream, self._goes_on = stream, goes_on
        self._told = False

    def filter(self, record: logging.LogRecord) -> bool:
        full = _size_of_file(self._stream) >= FILE_BYTES
        if full and not self._told:
            size = f"{FILE_BYTES / 1e6:g} MB"
            self._stream.write(f"this file holds {size} and takes no more; {self._goes_on} goes on\n")
            self._stream.flush()
        self._told = full
        return not full


def _size_of_file(stream: TextIO) -> int:
    """0 for what is no file."""
    try:
        found = os.fstat(stream.fileno())
    except (OSError, ValueError):
        return 0
    return found.st_size if stat.S_ISREG(found.st_mode) else 0


class RotatingLog(RotatingFileHandler):
    """A log file for its owner alone; a disk that takes nothing stops nobody."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        super().__init__(path, maxBytes=FILE_BYTES, backupCount=FILES_KEPT, encoding="utf-8", delay=True)
        set_up(self, f"%(asctime)s {FORMAT}")

    def _open(self):  # type: ignore[no-untyped-def]
        os.close(os.open(self.baseFilename, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600))
        return super()._open()

    def handleError(self, record: logging.LogRecord) -> None:
        """Nothing: the same message stands on stderr."""


def set_up(handler: logging.Handler, form: str = FORMAT) -> logging.Handler:
    """The handler, escaping and counting."""
    handler.setFormatter(Escaped(form))
    handler.addFilter(Counted())
    return handler
