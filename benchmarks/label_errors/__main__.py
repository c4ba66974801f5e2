"""Are labels that are wrong found? About 16 minutes on two free cores from an empty cache.

    python -m benchmarks.label_errors --data ../shared/data

Plants errors into the labels of debris (FOD-A), a street camera and a rendered world, trains models on
those labels out of fold, and ranks the labels by what these models see, beside cleanlab's ObjectLab
on the same predictions. Results go to benchmarks/results/label_errors/, their page to
docs/label-errors.md. Models are kept in --cache, so that a second run takes about 5 minutes.
--only NAME measures one data set anew. --page writes the page from the files alone.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.label_errors.data import SETS, LabeledSet
from benchmarks.label_errors.folds import judged, seconds_of, train
from benchmarks.label_errors.measures import recall
from benchmarks.label_errors.planting import planted
from benchmarks.label_errors.report import DOCUMENT, RESULTS, document
from benchmarks.label_errors.runs import FEW, MANY, ranking, review
from loop.math.quality.label_errors import JudgedFrame

SEEDS = 3
WEIGHTS = Path("weights") / "yolov8n_from_int8.pt"


def main() -> None:
    given = _options()
    for name in [] if given.page else given.only:
        begun = time.monotonic()
        data = SETS[name](given.data, given.cache / "world")
        results = measured(data, given.data / WEIGHTS, given.cache)
        results["seconds"] = round(time.monotonic() - begun)
        RESULTS.mkdir(parents=True, exist_ok=True)
        (RESULTS / f"{name}.json").write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
        print(f"{name}: {results['seconds']} s", flush=True)
    DOCUMENT.write_text(document(), encoding="utf-8")
    print(DOCUMENT)


def measured(data: LabeledSet, weights: Path, cache: Path) -> dict[str, Any]:
    """Models trained on one planting of many errors; they judge plantings of many and of few."""
    models = train(data, [each.frame for each in planted(data, MANY, 0)], weights, cache)
    seen = judged(data, models)
    return {
        "name": data.name,
        "classes": len(data.classes),
        "frames": len(data.frames),
        "boxes": sum(len(each.class_id) for each in data.frames),
        "groups": len({each.group for each in data.frames}),
        "folds": data.folds,
        "imgsz": data.imgsz,
        "recall": recall(seen, data.frames),
        "training": [seconds_of(each) for each in models],
        "shares": {str(share): _of_share(data, seen, share) for share in (MANY, FEW)},
    }


def _of_share(data: LabeledSet, seen: Sequence[JudgedFrame], share: float) -> list[dict[str, Any]]:
    runs = []
    for seed in range(SEEDS):
        wrong = planted(data, share, seed)
        runs.append(ranking(seen, wrong) | {"review": review(seen, wrong, seed)})
    return runs


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--data", type=Path, default=Path(os.environ.get("FIELDLOOP_DATA") or "../shared/data")
    )
    parser.add_argument("--cache", type=Path, default=Path.home() / ".cache" / "fieldloop-label-errors")
    parser.add_argument("--only", nargs="+", choices=SETS, default=list(SETS))
    parser.add_argument("--page", action="store_true")
    given = parser.parse_args()
    if not given.page and not (given.data / WEIGHTS).is_file():
        parser.error(f"expected {WEIGHTS} in {given.data}; --data or FIELDLOOP_DATA names its folder")
    given.cache.mkdir(parents=True, exist_ok=True)
    return given


if __name__ == "__main__":
    main()
