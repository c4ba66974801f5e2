"""What a piece of work costs a process: CPU seconds, wall seconds, and the most memory it had
meanwhile.
"""

from __future__ import annotations

import os
import resource
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

CLEAR, STATUS = Path("/proc/self/clear_refs"), Path("/proc/self/status")
FORGET_PEAK = "5"
LOOK_EVERY_S = 0.02


class Meter:
    """Costs by name, in order; further facts that a measure notes."""

    def __init__(self) -> None:
        self.costs: dict[str, dict[str, float]] = {}
        self.facts: dict[str, Any] = {}

    @contextmanager
    def of(self, name: str) -> Iterator[None]:
        """Measures what is done inside. cpu, wall: seconds, those of ended children included.
        peak_mb: resident memory.
        """
        _forget_peak()
        cpu, wall = cpu_seconds(), time.perf_counter()
        yield
        self.costs[name] = {
            "cpu": round(cpu_seconds() - cpu, 4),
            "wall": round(time.perf_counter() - wall, 4),
            "peak_mb": round(memory_mb("VmHWM"), 1),
            "load": round(os.getloadavg()[0], 1),
        }

    @contextmanager
    def least_of(self, name: str) -> Iterator[None]:
        """As `of`; of several times the one that took the least CPU stays, with the highest peak."""
        before = self.costs.get(name)
        with self.of(name):
            yield
        self._keep_least(name, before)

    def of_command(self, name: str, command: Sequence[str]) -> None:
        """Measures a command as `least_of` does; its output is thrown away. Raises CalledProcessError
        where it fails.
        """
        peak, before = 0.0, self.costs.get(name)
        with self.of(name):
            process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
            while process.poll() is None:
                peak = max(peak, memory_mb("VmHWM", Path(f"/proc/{process.pid}/status")))
                time.sleep(LOOK_EVERY_S)
        if process.returncode:
            raise subprocess.CalledProcessError(process.returncode, command)
        self.costs[name]["peak_mb"] = round(peak, 1)
        self._keep_least(name, before)

    def _keep_least(self, name: str, before: dict[str, float] | None) -> None:
        if before is not None:
            least = min(before, self.costs[name], key=lambda cost: cost["cpu"])
            self.costs[name] = least | {"peak_mb": max(before["peak_mb"], self.costs[name]["peak_mb"])}


def cpu_seconds() -> float:
    """User and system seconds of this process and of its ended children."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)


def memory_mb(field: str, status: Path = STATUS) -> float:
    """A line of a process's status, such as VmRSS or VmHWM, in MB; 0 where the process has ended."""
    try:
        lines = status.read_text().splitlines()
    except OSError:
        return 0.0
    found = [int(line.split()[1]) for line in lines if line.startswith(f"{field}:")]
    return found[0] * 1024 / 1e6 if found else 0.0


def _forget_peak() -> None:
    """So that VmHWM is the peak from now on; where the kernel refuses, it stays that of the whole
    process.
    """
    with suppress(OSError):
        CLEAR.write_text(FORGET_PEAK)
