"""The page's section on the speed of analysis, from the results of `benchmarks.analysis_speed`
alone.
"""

from __future__ import annotations

from typing import Any

INTRO = """## Analysis beside its models alone

`python -m benchmarks.analysis_speed`, code of {commit}: {frames} JPEGs of {width} x {height}, {clip} and {yolo} at 640 px with random weights (seed {seed}),
batches of {batch}, {threads} torch threads on {cores} cores; {runs} runs in one process, each of both ways and then of both the other way
round. *bare*: the decoded images go through both models and nothing else. *analysis*: the files are analyzed in a new project by the
command's verb: reading, decoding, measuring, both models, the database, near-duplicates. Its share of the bare speed, median and range:
**{median:.2f}** ({low:.2f} to {high:.2f}); by CPU seconds {cpu:.2f}. The load was {load}, these runs included.

What does not hide, and why: decoding and measuring run in threads of their own while the models run, but torch is given every core and
keeps {used:.1f} of {cores} busy by itself. Of the {more:.1f} CPU ms that analysis adds to a frame, the rest of the cores cannot take all. The first
batch is decoded before there is anything to hide behind, and a batch is recorded while no model runs. Threads of the least priority,
and recording beside the next batch, were tried: neither changed the share.
"""
ALONE = "What each piece costs alone, one frame after another:\n"


def speed_section(speed: dict[str, Any] | None) -> str:
    """Markdown; "" where nothing is measured."""
    if speed is None:
        return ""
    runs = speed["runs"]
    shares = sorted(run["share"] for run in runs)
    intro = INTRO.format(
        frames=speed["frames"],
        width=speed["size"][0],
        height=speed["size"][1],
        clip=speed["models"][0],
        yolo=speed["models"][1],
        runs=len(runs),
        median=_median(shares),
        low=shares[0],
        high=shares[-1],
        cpu=_median([run["share_cpu"] for run in runs]),
        used=_median([run["bare"]["cpu"] / run["bare"]["wall"] for run in runs]),
        more=_median([run["analysis"]["cpu"] - run["bare"]["cpu"] for run in runs]) / speed["frames"] * 1000,
        **{key: speed[key] for key in ("commit", "seed", "batch", "threads", "cores", "load")},
    )
    head = "| run | bare: frames/s | analysis: frames/s | share | by CPU seconds |\n|---|---|---|---|---|"
    rows = [
        f"| {number} | {speed['frames'] / run['bare']['wall']:.2f} |"
        f" {speed['frames'] / run['analysis']['wall']:.2f} | {run['share']:.3f} | {run['share_cpu']:.3f} |"
        for number, run in enumerate(runs, 1)
    ]
    pieces = [f"| {name} | {cost['cpu']:.2f} | {cost['wall']:.2f} |" for name, cost in speed["alone"].items()]
    table = ["| piece | CPU ms a frame | wall ms a frame |", "|---|---|---|", *pieces, ""]
    return "\n".join([intro, head, *rows, "", ALONE, *table])


def _median(values: list[float]) -> float:
    return sorted(values)[len(values) // 2]
