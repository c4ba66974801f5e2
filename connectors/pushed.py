"""Frames that are handed over one by one: files of a watched folder, each under its hash beside its
sidecar.

No name that a stranger gives becomes a path. Paths below FOLDER say nothing of a frame, whatever
frames.pattern is: its sidecar does.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from pathlib import Path

from connectors.files import is_file, write_atomically
from connectors.ports import Capture

FOLDER = "pushed-frames"
"""Below the watched folder."""
LOCKS = 64


def is_pushed(key: str) -> bool:
    """Whether a key is that of a frame that was handed over."""
    return key.startswith(f"{FOLDER}/")


def key_of(sha256: str, suffix: str) -> str:
    """sha256: 64 lower-case hex digits. suffix: with its dot."""
    return f"{FOLDER}/{sha256[:2]}/{sha256}{suffix}"


class PushedFrames:
    """The frames that were handed over below `root`, a watched folder.

    columns: what sidecars call camera, site, sequence and captured_at where it is unusual.
    Threads may share it.
    """

    def __init__(self, root: Path, columns: Mapping[str, str]) -> None:
        self.root = root
        self._columns = columns
        self._locks = [threading.Lock() for _ in range(LOCKS)]

    def find(self, sha256: str) -> str | None:
        """The key of the frame of this hash, None where it was not handed over or is gone again."""
        from connectors.images import SUFFIXES

        keys = (key_of(sha256, suffix) for suffix in SUFFIXES.values())
        return next((key for key in keys if is_file(self.root / key)), None)

    def keep(self, sha256: str, suffix: str, frame: Capture) -> bool:
        """Writes the frame and, before it, what is known of it; False where it is there already.

        frame: its bytes have this hash.
        Both are on disk when this returns. Raises OSError, and then neither is there.
        """
        with self._locks[int(sha256[:8], 16) % LOCKS]:
            if self.find(sha256):
                return False
            image = self.root / key_of(sha256, suffix)
            sidecar = image.with_suffix(".json")
            try:
                write_atomically(sidecar, _sidecar(frame, self._columns))
                write_atomically(image, frame.read())
            except OSError:
                sidecar.unlink(missing_ok=True)
                raise
            return True


def _sidecar(frame: Capture, columns: Mapping[str, str]) -> str:
    """What `connectors.sources.sidecars` reads back as what is known of the frame."""
    said = {
        "camera": frame.camera,
        "site": frame.site,
        "sequence": frame.sequence,
        "captured_at": frame.captured_at.isoformat() if frame.captured_at else None,
    }
    return json.dumps({columns.get(name, name): value for name, value in said.items()})
