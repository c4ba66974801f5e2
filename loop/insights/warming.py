"""What pages read of all frames, read before anybody asks."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from loop.insights.frame_query import FrameQuery
from loop.insights.frames import CAMERA, DAY, SLICE, frame_sets
from loop.insights.overview import overview
from loop.insights.space import map_view
from loop.project.wiring import Parts

WAIT_S = 10.0
"""So long a start waits for it; it goes on beside the pages then."""

log = logging.getLogger(__name__)


def warm(parts: Parts, wait_s: float = WAIT_S) -> None:
    """Opens the columns, counts every frame once, and reads what sets, searches and the map rest on, so
    that the first request is as quick as later ones. What cannot be read is left to whoever asks for it.
    """
    thread = threading.Thread(target=_read, args=(parts,), name="warming", daemon=True)
    thread.start()
    thread.join(wait_s)


def _read(parts: Parts) -> None:
    for read in (_frames, _alike, _map, _overview):
        _tried(read, parts)


def _tried(read: Callable[[Parts], None], parts: Parts) -> None:
    try:
        read(parts)
    except Exception as error:  # the page that needs it says what is wrong, and what to do
        log.debug("not read ahead: %s", error)


def _frames(parts: Parts) -> None:
    sets = frame_sets(parts)
    found = sets.find(FrameQuery())
    sets.page(found)
    for by in (CAMERA, DAY, SLICE):
        sets.distribution(found, by)


def _alike(parts: Parts) -> None:
    sets = frame_sets(parts)
    newest = sets.ids(sets.find(FrameQuery()), 1).tolist()
    if newest:
        sets.find(FrameQuery(near=newest[0]))


def _map(parts: Parts) -> None:
    map_view(parts)


def _overview(parts: Parts) -> None:
    overview(parts.project)
