"""Each measure in a process of its own, ended where it takes too long or too much memory."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.scale.measures import MEASURES, Asked
from benchmarks.scale.meter import memory_mb
from benchmarks.scale.project import copy_of

ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
LOOK_EVERY_S = 0.2
PATIENCE = 6
MACHINE = Path("/proc/meminfo")
TICKS = os.sysconf("SC_CLK_TCK")
Results = dict[str, Any]


@dataclass(frozen=True)
class Limits:
    """What one measure may take: CPU seconds, and resident memory; spared: GB that it leaves to others.

    On the wall it may take PATIENCE times as long.
    """

    seconds: float = 600
    gigabytes: float = 12
    spared: float = 1.5


def measured(folder: Path, names: list[str], asked: Asked, limits: Limits) -> Iterator[tuple[str, Results]]:
    """One by one, the costs and facts of each measure, or why it was ended. Those that change the
    project share a copy.
    """
    copy = folder.with_name(f"{folder.name}-changed")
    shutil.rmtree(copy, ignore_errors=True)
    for name in sorted(names, key=lambda name: MEASURES[name].changes):
        if MEASURES[name].changes and not copy.exists():
            copy_of(folder, copy)
        result = child(name, copy if MEASURES[name].changes else folder, asked, limits)
        print(f"  {name}: {_said(result)}", flush=True)
        yield name, result
    shutil.rmtree(copy, ignore_errors=True)


def prepared(folder: Path, size: int) -> None:
    """The project of this size, made and brought up to date by a process of its own."""
    subprocess.run(_command(["prepare", str(folder), "--size", str(size)]), check=True, env=_environment())


def child(name: str, folder: Path, asked: Asked, limits: Limits) -> Results:
    """What the measure printed, or {"ended": why}."""
    options = [text for key, value in asdict(asked).items() for text in (f"--{key}", str(value))]
    command = _command([name, str(folder), *options])
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, env=_environment(), start_new_session=True
    )
    ended = _watch(process, limits)
    said = process.communicate()[0]
    if ended:
        return {"ended": ended}
    if process.returncode:
        return {"ended": f"failed with exit code {process.returncode}"}
    result: Results = json.loads(said.splitlines()[-1])
    return result


def _watch(process: subprocess.Popen[str], limits: Limits) -> str:
    """Waits for the end; "" or why the process was killed."""
    started, place = time.monotonic(), Path(f"/proc/{process.pid}")
    while True:
        try:
            process.wait(LOOK_EVERY_S)
        except subprocess.TimeoutExpired:
            if ended := over(limits, place, time.monotonic() - started):
                os.killpg(process.pid, signal.SIGKILL)
                return ended
        else:
            return ""


def over(limits: Limits, place: Path, wall: float) -> str:
    """Which limit a process is beyond, "" for none. place: its folder in /proc."""
    used = memory_mb("VmRSS", place / "status")
    if used > 1000 * limits.gigabytes:
        return f"over {limits.gigabytes:g} GB"
    if memory_mb("MemAvailable", MACHINE) < 1000 * limits.spared:
        return f"at {used / 1000:.1f} GB, with which the machine had under {limits.spared:g} GB left"
    if _cpu_seconds(place) > limits.seconds:
        return f"over {limits.seconds:g} CPU s"
    return f"over {PATIENCE * limits.seconds:g} s" if wall > PATIENCE * limits.seconds else ""


def _cpu_seconds(place: Path) -> float:
    try:
        user, system = (place / "stat").read_text().rpartition(")")[2].split()[11:13]
    except OSError:
        return 0.0
    return (int(user) + int(system)) / TICKS


def _command(arguments: list[str]) -> list[str]:
    return [sys.executable, "-m", "benchmarks.scale.measures", *arguments]


def _environment() -> dict[str, str]:
    return os.environ | ONE_THREAD


def _said(result: Results) -> str:
    if "ended" in result:
        return str(result["ended"])
    return ", ".join(
        f"{name} {cost['cpu']:.2f} CPU s {cost['peak_mb']:,.0f} MB" for name, cost in result["costs"].items()
    )
