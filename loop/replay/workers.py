"""Many seeds at once: each worker process takes the next seed and does all its rounds; files say
what is done.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, ProcessPoolExecutor, wait
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

from connectors.ports import Progress
from loop.replay.bench import Bench, Folders, told, wanted
from loop.replay.choosing import check_sampler
from loop.replay.results import Results
from loop.replay.settings import ReplaySettings
from loop.replay.tools import build_tools

POLL_S = 1.0
Say = Callable[[str], None]


@dataclass(frozen=True)
class Job:
    """A whole replay."""

    dataset: Path
    settings: ReplaySettings
    folders: Folders
    name: str
    samplers: tuple[str, ...]
    seeds: tuple[int, ...]
    workers: int


def replay(job: Job, say: Say, progress: Progress) -> None:
    """Runs what has no file yet. Raises ConfigError, DatasetError, TrainingFailed; what is done
    stays.
    """
    for sampler in job.samplers:
        check_sampler(sampler)
    workers = max(1, min(job.workers, len(job.seeds)))
    bench = _bench(job, max(1, cores() // workers), progress)
    say(_described(bench, job))
    if workers == 1:
        for seed in job.seeds:
            bench.run(seed, job.samplers, say)
        return
    del bench
    _in_parallel(job, workers, say, progress)


def cores() -> int:
    return len(os.sched_getaffinity(0))


def _bench(job: Job, threads: int, progress: Progress) -> Bench:
    tools = build_tools(job.settings, threads)
    return Bench(job.dataset, job.settings, job.folders, tools, job.name, threads, progress)


def _in_parallel(job: Job, workers: int, say: Say, progress: Progress) -> None:
    keys = wanted(job.samplers, job.seeds, job.settings.rounds)
    results = Results(job.folders.results)
    done = {key for key in keys if results.path(key).is_file()}
    started, before = time.monotonic(), len(done)
    with ProcessPoolExecutor(workers, get_context("spawn"), _leave_with, (os.getpid(),)) as executor:
        running = {executor.submit(_seed, job, seed, max(1, cores() // workers)) for seed in job.seeds}
        try:
            while running:
                ended, running = wait(running, POLL_S, FIRST_EXCEPTION)
                for key in [key for key in keys if key not in done and results.path(key).is_file()]:
                    done.add(key)
                    if result := results.get(key):
                        say(told(result))
                    progress(
                        len(done),
                        len(keys),
                        f"trainings{_left(started, len(done) - before, len(keys) - len(done))}",
                    )
                for each in ended:
                    each.result()
        except BaseException:
            for each in running:
                each.cancel()
            raise


def _left(started: float, made: int, missing: int) -> str:
    minutes = (time.monotonic() - started) / max(made, 1) * missing / 60
    return f", about {minutes:.0f} minutes left"


def _seed(job: Job, seed: int, threads: int) -> None:
    bench = _bench(job, threads, lambda done, total, what: None)
    bench.run(seed, job.samplers, lambda line: None)


def _leave_with(parent: int) -> None:
    """A worker does not outlive the command, however that ended."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1.0)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _described(bench: Bench, job: Job) -> str:
    about = bench.about
    parts = ", ".join(f"{count} {part} ({about.groups[part]} groups)" for part, count in about.parts.items())
    rare = f"; rare: {', '.join(about.rare)}" if about.rare else ""
    left_out = bench.data.left_out
    gone = f"; left out or mended {len(left_out)}, the first: {left_out[0]}" if left_out else ""
    return (
        f"{about.data}: {parts}{rare}{gone}; {len(job.samplers)} samplers x {len(job.seeds)} seeds x"
        f" {bench.settings.rounds} rounds of {bench.settings.budget}; every training {bench.settings.epochs}"
        f" epochs of {bench.settings.passes} passes"
    )


def seeds_of(text: str) -> tuple[int, ...]:
    """ "8" is 0 to 7, "4-7" and "1,5" are those. Raises ValueError."""
    if text.isdecimal():
        return tuple(range(int(text)))
    out: list[int] = []
    for part in text.split(","):
        low, _, high = part.partition("-")
        out += range(int(low), int(high or low) + 1)
    return tuple(dict.fromkeys(out))


__all__: Sequence[str] = ("Job", "replay", "seeds_of")
