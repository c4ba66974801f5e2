"""Our own Label Studio beside the service: started with it, started again when it dies, left alone
when a person stops it.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from connectors.errors import ConnectorError
from connectors.label_studio.server import ServerInfo, cut_log, status
from loop.base.errors import LoopError
from loop.labeling.server import start_label_studio
from loop.project.wiring import Parts

log = logging.getLogger(__name__)
CHECK_S = 5.0
RETRY_S = (5.0, 15.0, 60.0, 300.0)


class Keeper:
    """Looks after the server in a thread of its own until `stop` is set.

    url: where people label, "" while it is away.
    """

    def __init__(self, parts: Parts, stop: threading.Event, say: Callable[[str], None]) -> None:
        self.url = parts.project.settings.label_studio.url
        self._parts = parts
        self._stop = stop
        self._say = say
        self._said = ""
        self._failures = 0

    def start(self) -> None:
        """Nothing to do where the user runs a Label Studio of their own."""
        if not self.url:
            threading.Thread(target=self._keep, name="label-studio-keeper", daemon=True).start()

    def _keep(self) -> None:
        wanted, dead = True, 0
        while not self._stop.is_set():
            try:
                server = self._launch() if wanted else status(self._parts.project.label_studio)
                wanted = False
                dead = 0 if server or not self._left_a_record() else dead + 1
                # Whoever stops the server removes its record a moment after its process: one look is not
                # enough.
                wanted = dead >= 2
                self.url = server.url if server and server.ready else ""
                self._failures = 0
                pause = CHECK_S
                cut_log(self._parts.project.label_studio)
            except (LoopError, ConnectorError, OSError) as error:
                self._tell(f"Label Studio did not start: {error}; what is chosen waits, it is tried again")
                pause = RETRY_S[min(self._failures, len(RETRY_S) - 1)]
                self._failures += 1
            except Exception:
                log.exception("looking after Label Studio failed; trying again")
                pause = RETRY_S[-1]
            self._stop.wait(pause)

    def _launch(self) -> ServerInfo:
        server = start_label_studio(self._parts, lambda done, total, what: None)
        self._tell(f"Label Studio: {server.url}")
        return server

    def _left_a_record(self) -> bool:
        return (self._parts.project.label_studio / "server.json").is_file()

    def _tell(self, text: str) -> None:
        if text != self._said:
            self._said = text
            self._say(text)
