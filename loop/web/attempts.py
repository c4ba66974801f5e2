"""How often a wrong token may be tried.

Counted per address and over all. An address that gave the right token lately is not held up by the
wrong ones of others.
"""

from __future__ import annotations

import ipaddress
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable

PER_ADDRESS = 10
OVER_ALL = 100
WINDOW_S = 60.0
REMEMBERED = 10_000
"""Addresses; the one that was heard of longest ago is forgotten first."""


class Attempts:
    """Wrong tokens of the last WINDOW_S seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._wrong: OrderedDict[str, deque[float]] = OrderedDict()
        self._all: deque[float] = deque()
        self._right: OrderedDict[str, None] = OrderedDict()
        self._lock = threading.Lock()

    def wait_s(self, address: str) -> int:
        """Seconds until a token of this address is looked at again, 0 for now."""
        with self._lock:
            now, place = self._clock(), place_of(address)
            waits = [_wait(self._wrong.get(place, deque()), PER_ADDRESS, now)]
            if place not in self._right:
                waits.append(_wait(self._all, OVER_ALL, now))
            return max(waits)

    def was_wrong(self, address: str) -> None:
        with self._lock:
            now, place = self._clock(), place_of(address)
            mine = self._wrong.setdefault(place, deque(maxlen=PER_ADDRESS))
            mine.append(now)
            self._all.append(now)
            while len(self._all) > OVER_ALL:
                self._all.popleft()
            _remember(self._wrong, place)

    def was_right(self, address: str) -> None:
        with self._lock:
            place = place_of(address)
            self._wrong.pop(place, None)
            self._right[place] = None
            _remember(self._right, place)


def place_of(address: str) -> str:
    """Whom an address stands for: an IPv6 network of 64 bits is one customer."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return address
    if isinstance(found, ipaddress.IPv4Address):
        return str(found)
    if found.ipv4_mapped:
        return str(found.ipv4_mapped)
    return str(ipaddress.ip_network((found, 64), strict=False))


def _wait(times: deque[float], most: int, now: float) -> int:
    recent = [moment for moment in times if now - moment < WINDOW_S]
    return 0 if len(recent) < most else max(1, round(recent[-most] + WINDOW_S - now + 0.5))


def _remember(kept: OrderedDict[str, deque[float]] | OrderedDict[str, None], place: str) -> None:
    kept.move_to_end(place)
    while len(kept) > REMEMBERED:
        kept.popitem(last=False)
