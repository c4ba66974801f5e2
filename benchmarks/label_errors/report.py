"""The page of what is found of planted label errors, from the result files alone."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.label_errors.data import SETS
from benchmarks.label_errors.runs import DECIDED, FEW, MANY, REVIEWED
from benchmarks.markdown import table

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "benchmarks" / "results" / "label_errors"
DOCUMENT = ROOT / "docs" / "label-errors.md"
AIMS = {"overlooked": 0.95, "spurious": 0.95, "class": 0.9, "location": 0.9}
MOST_LEFT = 0.3
Results = dict[str, Any]
Runs = Sequence[Results]


def document() -> str:
    """The page. Data sets without a result file are left out."""
    results = [
        json.loads(file.read_text(encoding="utf-8"))
        for name in SETS
        if (file := RESULTS / f"{name}.json").is_file()
    ]
    many, few = f"{MANY:.0%}", f"{FEW:.0%}"
    return f"""# Are labels that are wrong found?

`python -m benchmarks.label_errors --data ../shared/data` plants errors into labels that are taken to be right,
trains models on those labels, and ranks the labels by what these models see. It writes this page from the
files in `benchmarks/results/label_errors`.

{table(["data", "what", "frames", "boxes", "classes", "groups"], map(_data, results))}
- Four kinds of errors: an object without a label (overlooked), a label without an object (spurious), a wrong
  class, and a bad location (IoU of .4 to .7 with the right box). No label is wrong in two ways. The recipe is
  not the one by which fieldloop learns what errors score.
- A model judges only groups that it was not trained on: camera-days of the rendered world, sequences of debris.
  The street is one day of one camera; its groups are {_groups(results, "street")} runs of consecutive frames, and neighbors of a group
  are in the training. Debris keeps classes of at least four sequences and at most 14 frames of each.
- Two folds, each a short training of a small COCO detector, on labels **with** the planted errors.
- {_seeds(results)} seeds of planting. The models were trained once for each data set, on the first planting with {many} of each
  kind. Errors of a fold are drawn apart from those that its model learned from, so that the other seeds are
  judged as fairly, but the spread over seeds does not hold that of training.
- The same models judge plantings with {few} of each kind. Models trained on so few errors would be better.
- ObjectLab is cleanlab's, on the same boxes with the same calibrated confidences, its high threshold at .5.
  "Best" is its best of all thresholds tried, chosen knowing which labels are wrong. It has no score for spurious labels.
- Told is the area under the ROC curve (AUROC), the mean of the seeds and in brackets the lowest and highest. Labels of a
  kind stand against right labels; overlooked objects against places where a box but no object is.
- An object that no box touches cannot be ranked. "Overlooked, touched" leaves it out, "overlooked, all" counts it
  with a score of 0.
- A few constants of the scores were set while looking at the labels of one of these seeds, at {many} of errors.

{"".join(_ranking(results, share) for share in (MANY, FEW))}## What reviewing a tenth of the boxes leaves

The four kinds are pooled by probability. With {many} of each kind, {_per_hundred(MANY)} of 100 boxes are wrong, and nobody can find
most of them in {REVIEWED:.0%} of the boxes. So what is left is told with {few} of each kind, {_per_hundred(FEW)} in 100; the aim is at most {MOST_LEFT:.0%}.
Told before anybody decided anything, and after {DECIDED} decisions among that tenth.

{table(["data", "each kind", "left at best", "left", "left after decisions", "errors among the reviewed"], _reviews(results))}
## Whether probabilities hold

All suspects with {few} of each kind, by the probability told of them, over all seeds.

{table(["data", "told", "suspects", "mean told", "are errors", "after decisions: suspects", "mean told", "are errors"], _reliability(results))}
## Where it falls short

{_short(results)}"""


def _data(results: Results) -> list[Any]:
    what = {
        "rendered": "rendered daylight of six cameras",
        "street": "one fixed street camera",
        "debris": "debris on a runway (FOD-A)",
    }
    keys = ("frames", "boxes", "classes", "groups")
    return [results["name"], what[results["name"]], *(results[key] for key in keys)]


def _ranking(results: Sequence[Results], share: float) -> str:
    rows = []
    for each in results:
        run = each["shares"][str(share)]
        for kind, name in (
            ("overlooked", "overlooked, touched"),
            ("overlooked_all", "overlooked, all"),
            ("spurious", "spurious"),
            ("class", "class"),
            ("location", "location"),
        ):
            cells = [_spread(run, who, kind) for who in ("ours", "objectlab", "objectlab_best")]
            aim = AIMS.get(kind)
            rows.append([each["name"], f"{each['recall']:.2f}", name, "none" if aim is None else aim, *cells])
    head = ["data", "recall out of fold", "kind", "aim", "fieldloop", "ObjectLab", "ObjectLab, best"]
    return f"""## Ranking with {share:.0%} of each kind

Recall is that of the folds' models on the right labels, at IoU .5 and confidence .25.

{table(head, rows)}
"""


def _reviews(results: Sequence[Results]) -> list[list[Any]]:
    rows = []
    for each in results:
        for share, run in each["shares"].items():
            of = _of_review(run)
            keys = ("least_left", "left", "left_after_decisions", "errors_among_reviewed")
            rows.append([each["name"], f"{float(share):.0%}", *(_told(of(key)) for key in keys)])
    return rows


def _reliability(results: Sequence[Results]) -> list[list[Any]]:
    rows = []
    for each in results:
        run = each["shares"][str(FEW)]
        before, after = (_pooled(run, key) for key in ("reliability", "reliability_after_decisions"))
        rows += [[each["name"], told, *before[told], *after.get(told, ["none"] * 3)] for told in before]
    return rows


def _pooled(run: Runs, key: str) -> dict[str, list[Any]]:
    """Suspects, mean told and share of errors by range of probability, over all seeds."""
    pooled: dict[str, list[Any]] = {}
    for told in dict.fromkeys(row["range"] for seed in run for row in seed["review"][key]):
        rows = [row for seed in run for row in seed["review"][key] if row["range"] == told]
        count = sum(row["suspects"] for row in rows)
        mean = [sum(row[name] * row["suspects"] for row in rows) / count for name in ("told", "errors")]
        pooled[told] = [count, *mean]
    return dict(sorted(pooled.items()))


def _short(results: Sequence[Results]) -> str:
    """What misses its aim, or does not beat ObjectLab."""
    lines = []
    for each in results:
        for share, run in each["shares"].items():
            where = f"{each['name']}, {float(share):.0%} of each kind"
            for kind, aim in AIMS.items():
                mean = float(np.mean([seed["ours"][kind] for seed in run]))
                if mean < aim:
                    lines.append(f"- {where}: {kind} at {mean:.3f}, the aim is {aim}.\n")
                rival = [seed["objectlab_best"].get(kind, 0.0) for seed in run]
                if mean <= np.mean(rival):
                    lines.append(f"- {where}: {kind} not above ObjectLab's best.\n")
            left = float(np.mean(_of_review(run)("left")))
            if float(share) == FEW and left > MOST_LEFT:
                lines.append(f"- {where}: {left:.0%} are left after a tenth, the aim is {MOST_LEFT:.0%}.\n")
    return "".join(lines) or "Nowhere: every aim is reached, and each score is above ObjectLab's best.\n"


def _of_review(run: Runs) -> Callable[[str], list[float]]:
    return lambda key: [seed["review"][key] for seed in run]


def _spread(run: Runs, who: str, kind: str) -> str:
    values = [seed[who].get(kind) for seed in run]
    if None in values:
        return "none"
    return f"{np.mean(values):.3f} ({min(values):.3f} to {max(values):.3f})"


def _told(values: Sequence[float]) -> str:
    return f"{np.mean(values):.0%} ({min(values):.0%} to {max(values):.0%})"


def _groups(results: Sequence[Results], name: str) -> int:
    return next((int(each["groups"]) for each in results if each["name"] == name), 0)


def _seeds(results: Sequence[Results]) -> int:
    return min(len(run) for each in results for run in each["shares"].values())


def _per_hundred(share: float) -> int:
    return round(100 * len(AIMS) * share)
