"""What the gate says of models whose worth is known: simulated rounds, some minutes on two cores.

    python -m benchmarks.gate
    python -m benchmarks.gate --quick

Results go to benchmarks/results/gate/now.json; `python -m benchmarks.small_data` makes a page of them.
--only NAME measures those situations anew whose names contain it. --quick takes seconds and
writes nothing but its part of the page on the terminal. --judge MODULE asks another function `judge`, called as the
gate's is; --name BEFORE --commit HASH then say in which file it stands and of which code it is.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import time
from pathlib import Path
from typing import Any

from benchmarks.gate.report import document
from benchmarks.gate.runs import GATE, measured
from benchmarks.gate.situations import situations

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "benchmarks" / "results" / "gate"
NOW, BEFORE, WORLDS = "now", "before", "worlds"
QUICK = 0.005
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--only", nargs="+", default=[""], metavar="NAME")
    parser.add_argument("--share", type=float, default=1.0, help="of the simulated rounds")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--judge", default=GATE, metavar="MODULE")
    parser.add_argument("--name", default=NOW, help="of the result file")
    parser.add_argument("--commit", default="", help="of the judge; the code that runs when left out")
    given = parser.parse_args()
    file = RESULTS / f"{given.name}.json"
    results = {} if given.quick or not file.is_file() else json.loads(file.read_text(encoding="utf-8"))
    os.environ.update(ONE_THREAD)
    share = QUICK if given.quick else given.share
    added = _measured(given.only, share, given.judge, given.processes)
    every = results.get("situations", {}) | added
    ordered = {one.key: every[one.key] for one in situations() if one.key in every}
    results = {"commit": given.commit or _commit(), "situations": ordered}
    if given.quick:
        print(document(results, None))
        return
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    print(file)


def read_results() -> tuple[dict[str, Any], dict[str, Any] | None, list[dict[str, Any]]]:
    """Of the gate as it is, as it was before, and of the demo's worlds."""
    return _read(NOW, None), _read(BEFORE, None), _read(WORLDS, [])


def _read(name: str, missing: Any) -> Any:
    file = RESULTS / f"{name}.json"
    return json.loads(file.read_text(encoding="utf-8")) if file.is_file() else missing


def _measured(only: list[str], share: float, judge: str, processes: int) -> dict[str, Any]:
    begun = time.monotonic()
    wanted = [one for one in situations() if any(name in one.key for name in only)]
    found: dict[str, Any] = {}
    for key, result in measured(wanted, share, judge, processes):
        found[key] = result
        rates = ", ".join(f"{name} {yes / of:.3f}" for name, (yes, of) in result["said"].items())
        said = f"{len(found)}/{len(wanted)} {time.monotonic() - begun:.0f} s, CPU {result['cpu']:.0f} s"
        print(f"{said}: {key}: {result['rounds']} rounds: {rates}", flush=True)
    return found


def _commit() -> str:
    command = ["git", "rev-parse", "--short", "HEAD"]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()


if __name__ == "__main__":
    main()
