"""How the statistics hold on small data: one page from all results.

    python -m benchmarks.small_data

The results are made by `python -m benchmarks.gate`, `benchmarks.gate_worlds`, `benchmarks.gaps`,
`benchmarks.gaps_real`, `benchmarks.regions_real`,
`benchmarks.near_duplicates_real`, `benchmarks.image_conditions` and `benchmarks.trust`. The page goes to
docs/small-data.md.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from benchmarks import gaps, gaps_real, image_conditions, near_duplicates_real, regions_real, trust
from benchmarks.gate import report as gate_report
from benchmarks.gate.__main__ import read_results
from benchmarks.markdown import table

DOCUMENT = Path(__file__).parents[1] / "docs" / "small-data.md"


def document() -> str:
    """The page, from the results alone."""
    gate, of_gaps = read_results(), gaps.tables()
    real = json.loads(gaps_real.RESULTS.read_text(encoding="utf-8"))
    conditions = json.loads(image_conditions.RESULTS.read_text(encoding="utf-8"))
    return f"""# What holds on small data

What fieldloop says of gaps, of conditions and of what a model will get wrong rests on statistics.
With few days they are easily wrong.
So each was tried where the truth is known, on simulated worlds and on real frames.
`python -m benchmarks.small_data` writes this page from the files in `benchmarks/results`.
Each section names the command that measured it. That of the gate takes {_minutes(gate[0])} minutes
on two cores, the others about 7 together; the ten worlds of the demo come on top.

- "Before" is what the code before these changes said of the same worlds.
- A rate of 0.05 is one world in twenty.
- Correlation says how alike the frames of one camera-day are, from 0 to 1.

{gate_report.document(*gate)}
## Gaps where there are none

`python -m benchmarks.gaps`. Production and training are drawn from one distribution, so no gap may be shown.
In at most .07 of the worlds one may. Counted are worlds in which at least one is said to be shown.

{of_gaps["false gaps"]}
`python -m benchmarks.gaps_real --data ../shared/data`.
Runway debris (FOD-A) is divided at random, clips of fixed cameras in halves and in blocks of ten seconds.
{_divided(real)}
Measured conditions have a limit of each camera, learned from its training frames.
A new day passes it more often than these do. So training is told by limits of its other days,
and cameras are exchanged instead of days. With few cameras, or one day of each, nothing measured
can be shown; it is suspected.

{of_gaps["measured"]}
## Gaps that are there

One condition of twenty is not in training. Counted are worlds in which it is shown.
Beside it stands what a plain exchange of camera-days finds, with the same control of false discoveries.
With ten days, nothing finds a condition of 2 % surely: few of the days show it at all.

{of_gaps["power"]}
## Intervals of shares

A 95 % interval should hold the true share in .93 to .97 of the worlds.
Where few days show a condition none is told.
"Too few" stands where an interval was told in fewer than one world of twenty.
Where most worlds tell none, those that do are not typical.

{of_gaps["intervals"]}
## Which gap comes first

Eight gaps are seen well or badly in eight ways. The detector is half blind there, blind, unsure,
or sees false boxes; scenes are empty, crowded, or like elsewhere; or it is unsure and half blind.
Told is the rank correlation of the order with what is truly lost in each.

{of_gaps["ranking"]}
## Regions that nobody named

`python -m benchmarks.regions_real --data ../shared/data`, on real clips of fixed cameras.

{regions_real.table()}
## Near-duplicates of one camera

`python -m benchmarks.near_duplicates_real --data ../shared/data`.

{near_duplicates_real.table()}
## Conditions that are measured on the pixels

`FIELDLOOP_DATA=../shared/data python -m benchmarks.image_conditions`.
Real frames of fixed cameras, with planted faults, each within its camera.
Told is the area under the ROC curve (AUROC), and how many clean frames of later in time are called faulty.

{image_conditions.table(conditions)}
## Trust in expected loss

`python -m benchmarks.trust`. Told is the mean trust, and in how many worlds there is any.

{trust.table()}"""


def _minutes(gate: dict[str, Any]) -> int:
    """About, on two cores."""
    seconds: float = sum(each["cpu"] for each in gate["situations"].values())
    return round(seconds / 2 / 60)


def _divided(real: dict[str, list[dict[str, Any]]]) -> str:
    before = {row["by"]: row["shown"] for row in real["before"]}
    rows = [
        [
            f"by {row['by']}",
            row["splits"],
            before.get(row["by"], "not measured"),
            row["shown"],
            row["regions"],
            row["suspected"]["other"],
        ]
        for row in real["now"]
    ]
    head = [
        "divided",
        "divisions",
        "before: any gap but a class is listed",
        "now: any gap is shown",
        "now: any region is found",
        "now: suspected but classes, in the mean",
    ]
    return "\n" + table(head, rows)


def main() -> None:
    DOCUMENT.write_text(document(), encoding="utf-8")
    print(DOCUMENT)


if __name__ == "__main__":
    main()
