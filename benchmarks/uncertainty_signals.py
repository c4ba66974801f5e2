"""Which signals tell before labeling what a detector gets wrong? Rank correlation of each with the
frame's real loss.

    python -m benchmarks.uncertainty_signals --dataset worlds/fod --seeds 4
    python -m benchmarks.uncertainty_signals --report

--dataset is a folder of `python -m benchmarks.replay_worlds`, or any labeled dataset that `fieldloop bench replay` takes. Where it
names frames that are labeled from the start, the base checkpoint is asked, which was trained on
such; else a model for each seed that was trained on that seed's random initial frames. What the
pool's labels say serves the judging alone, with one exception that is named: the calibrated forms
learn from four fifths of the groups what they say of the last fifth.

Results are small files in benchmarks/results/uncertainty_signals; --report writes
docs/uncertainty-signals.md from all of them.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from connectors.images import decode
from connectors.ports import Array, Detections, Detector, Image
from loop.base.files import chunked
from loop.datasets.imported import DatasetError
from loop.math.boxes.matching import ImageMatch, iou_matrix, match, truth_of
from loop.math.coverage.frame_slices import NO_SLICE
from loop.math.evaluation.frame_loss import frame_loss
from loop.math.statistics.rank_correlation import spearman
from loop.replay.choosing import searcher
from loop.replay.data import ReplayData, ReplayFrame, load_data
from loop.replay.facts import load_facts
from loop.replay.settings import ReplaySettings, read_settings
from loop.replay.split import LABELED, POOL
from loop.replay.tools import Tools, build_tools, weights_of
from loop.replay.training import Workshop, start_rows
from loop.selection.calibration import IOU, MatchedFrames, out_of_fold
from samplers.expected_loss import expected_loss, missed_objects
from samplers.strategies.uncertainty import Aggregation, Measure, UncertaintySettings, frame_uncertainty

Reals = NDArray[np.float64]
ROOT = Path(__file__).parent.parent
RESULTS = Path(__file__).parent / "results" / "uncertainty_signals"
PAGE = ROOT / "docs" / "uncertainty-signals.md"
ALIKE = 10
DRAWS = 200
MEASURES: tuple[Measure, ...] = ("entropy", "least_confidence", "margin")
AGGREGATIONS: tuple[Aggregation, ...] = ("mean", "size_corrected", "top", "max", "sum")
OURS = "expected loss, calibrated, with missed objects"
VERDICTS = (
    (OURS, "what `select` uses"),
    (
        "expected loss, with missed objects",
        (
            "the same without calibration: no worse on these two; calibration stays for detectors whose"
            " confidence is off"
        ),
    ),
    ("expected loss, calibrated", "a part of it; alone it overlooks what the detector does not see at all"),
    (
        "missed objects alone",
        "a part of it; it adds much on fod and nothing on planted",
    ),
    (
        "consistency under flip",
        (
            "not worth a second forward pass for every frame: below what one pass gives on both. It is not in"
            " the product, nor a switch for it"
        ),
    ),
    (
        "distance to what is labeled",
        "tells little of loss; `select` looks at it for coverage, not as uncertainty",
    ),
    ("margin, mean", "no better than expected loss; can be chosen by name, to compare"),
    ("least_confidence, mean", "no better than expected loss; can be chosen by name, to compare"),
    ("entropy, mean", "below the other two; can be chosen by name, to compare"),
    (
        "margin, size_corrected",
        (
            "below the mean of margin; to compare in code only. So are *sum*, *max* and *top*, which no"
            " command offers"
        ),
    ),
)
"""(signal, what became of it); the page puts the figures beside it."""


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--dataset", type=Path)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--work", type=Path, default=Path("replay/work"))
    parser.add_argument("--report", action="store_true")
    options = parser.parse_args()
    if options.dataset:
        measured = measure(options.dataset, range(options.seeds), options.work)
        RESULTS.mkdir(parents=True, exist_ok=True)
        text = json.dumps(measured, indent=1, sort_keys=True) + "\n"
        (RESULTS / f"{measured['data']}.json").write_text(text, encoding="utf-8")
    if options.report or options.dataset:
        files = sorted(RESULTS.glob("*.json"))
        PAGE.write_text(
            report([json.loads(file.read_text(encoding="utf-8")) for file in files]), encoding="utf-8"
        )
        print(f"{PAGE} from {len(files)} files")


def measure(dataset: Path, seeds: Sequence[int], work: Path) -> dict[str, Any]:
    """Every signal's correlations, by seed."""
    settings = read_settings(dataset, None, {})
    data, tools = load_data(dataset, settings), build_tools(settings, 2)
    facts = load_facts(data, tools.embedder, work, quiet)
    models = models_of(data, settings, tools, seeds, work)
    runs = [
        correlations(data, settings, tools.detector(weights, settings.confidence), facts.vectors, known)
        for weights, known in models
    ]
    return {"data": data.name, "frames": runs[0]["frames"], "groups": runs[0]["groups"], "runs": runs}


def models_of(
    data: ReplayData, settings: ReplaySettings, tools: Tools, seeds: Sequence[int], work: Path
) -> list[tuple[Path, NDArray[np.int64]]]:
    """(checkpoint, rows that it may have learned from)."""
    if LABELED in data.parts:
        return [(weights_of(settings), data.rows(LABELED))]
    workshop = Workshop(data, settings, tools.trainer, weights_of(settings), work / data.name, 2)
    workshop.prepare()
    found = []
    for seed in seeds:
        rows = start_rows(data, settings, seed)
        run = work / data.name / "uncertainty_signals" / str(seed)
        kept = run / "train" / "weights" / "best.pt"
        found.append((kept if kept.is_file() else workshop.train(rows, seed, run, quiet), rows))
    return found


def correlations(
    data: ReplayData,
    settings: ReplaySettings,
    detector: Detector,
    vectors: Array,
    known: NDArray[np.int64],
) -> dict[str, Any]:
    """Of one model over the frames of the pool that it did not learn from."""
    rows = np.setdiff1d(data.rows(POOL), known)
    frames = [data.frames[row] for row in rows]
    if len(frames) < 50:
        raise DatasetError(
            f"expected 50 frames or more to judge signals on, got {len(frames)}; take a larger dataset"
        )
    found, turned = twice(detector, frames)
    matches = [match(truth_of(frame.boxes), seen, [IOU]) for frame, seen in zip(frames, found, strict=True)]
    loss = np.array([frame_loss(each) for each in matches])
    group = np.unique([frame.group for frame in frames], return_inverse=True)[1]
    counts = np.array([len(data.frames[row].boxes) for row in known], dtype=np.float64)
    _, near = searcher(np.arange(len(known)), vectors[known])(vectors[rows], min(ALIKE, len(known)))
    signals = signals_of(found, turned, matches, group, counts[near], vectors[rows], vectors[known])
    easy = loss <= np.median(loss)
    return {
        "frames": len(frames),
        "groups": int(group.max() + 1),
        "loss": round(float(loss.mean()), 4),
        "signals": {
            name: {
                "all": round(spearman(value, loss), 4),
                "low": round(lower(value, loss, group), 4),
                "easy": round(spearman(value[easy], loss[easy]), 4),
                "hard": round(spearman(value[~easy], loss[~easy]), 4),
                "boxes": round(spearman(value, np.array([float(len(f.boxes)) for f in frames])), 4),
            }
            for name, value in signals.items()
        },
    }


def signals_of(
    found: Sequence[Detections],
    turned: Sequence[Detections],
    matches: Sequence[ImageMatch],
    group: NDArray[np.int64],
    counts: Reals,
    vectors: Array,
    known: Array,
) -> dict[str, Reals]:
    """(N,) by name; larger means that more is expected to be wrong."""
    scores = [each.confidence if each.class_scores is None else each.class_scores for each in found]
    confidence = [each.confidence for each in found]
    missed = missed_objects(scores, counts)
    everywhere, ordinary = np.ones(len(found), dtype=bool), np.full(len(found), NO_SLICE)
    calibrated = {
        name: out_of_fold(MatchedFrames(matches, group, more, everywhere, ordinary, np.ones(len(found))))
        for name, more in (("", np.zeros(len(found))), (", with missed objects", missed))
    }
    signals = {
        "expected loss": expected_loss(confidence),
        "expected loss, with missed objects": expected_loss(confidence, missed=missed),
        "expected loss, calibrated": calibrated[""],
        OURS: calibrated[", with missed objects"],
        "missed objects alone": missed,
        "consistency under flip": np.array([apart(*pair) for pair in zip(found, turned, strict=True)]),
        "distance to what is labeled": 1 - (vectors @ known.T).max(axis=1).astype(np.float64),
    }
    for measured in MEASURES:
        for how in AGGREGATIONS:
            signals[f"{measured}, {how}"] = frame_uncertainty(
                scores, UncertaintySettings(measure=measured, aggregation=how)
            )
    return signals


def twice(detector: Detector, frames: Sequence[ReplayFrame]) -> tuple[list[Detections], list[Detections]]:
    """What is found in every frame, and in its mirror image, mirrored back."""
    found: list[Detections] = []
    turned: list[Detections] = []
    for part in chunked(frames, 32):
        images = [decode(frame.path.read_bytes()) for frame in part]
        found += detector.detect(images)
        mirrored = detector.detect([np.ascontiguousarray(image[:, ::-1]) for image in images])
        turned += [back(seen, image) for seen, image in zip(mirrored, images, strict=True)]
        print(f"{len(found)}/{len(frames)} frames", end="\r", flush=True)
    return found, turned


def back(seen: Detections, image: Image) -> Detections:
    xyxy = seen.xyxy.copy()
    xyxy[:, [0, 2]] = image.shape[1] - seen.xyxy[:, [2, 0]]
    return Detections(xyxy, seen.confidence, seen.class_id)


def apart(one: Detections, other: Detections) -> float:
    """0..1: confidence that differs between two views, by all there is; 0 where neither shows anything."""
    overlap = iou_matrix(one.xyxy, other.xyxy) * (one.class_id[:, None] == other.class_id)
    best = overlap.argmax(axis=1) if len(other) and len(one) else np.zeros(len(one), dtype=int)
    same = overlap.max(axis=1, initial=0.0) >= IOU
    twin = other.confidence[best] if len(other) else np.zeros(len(one))
    differs = np.where(same, np.abs(one.confidence - twin), one.confidence).sum()
    alone = other.confidence[np.setdiff1d(np.arange(len(other)), best[same])].sum()
    total = float(one.confidence.sum() + alone)
    return float(differs + alone) / total if total else 0.0


def lower(value: Reals, loss: Reals, group: NDArray[np.int64]) -> float:
    """Lower 90 % bound of the rank correlation, by bootstrap over groups."""
    rows = np.split(np.argsort(group, kind="stable"), np.cumsum(np.bincount(group))[:-1])
    rng = np.random.default_rng(0)
    picks = [np.concatenate([rows[g] for g in rng.integers(0, len(rows), len(rows))]) for _ in range(DRAWS)]
    return float(np.quantile([spearman(value[pick], loss[pick]) for pick in picks], 0.1))


def report(results: Sequence[dict[str, Any]]) -> str:
    """The page: a table per data set, best first."""
    head = [
        "# What tells before labeling what a detector gets wrong",
        "",
        (
            "Rank correlation (Spearman) of each signal with the real loss of a frame: the confidence that is"
            " missing on objects or put"
        ),
        (
            "where there is none, by what there was to win or lose (`loop/math/evaluation/frame_loss.py`)."
            " *low* is the lower 90 % bound by"
        ),
        (
            "bootstrap over groups; *easy* and *hard* are the halves of the frames by their loss; *boxes* is"
            " the correlation with the number"
        ),
        (
            "of objects, which a signal should not merely repeat. Several models: their mean, and the range"
            " of *all*."
        ),
        "",
        (
            "Made by `python -m benchmarks.uncertainty_signals --report` from"
            " `benchmarks/results/uncertainty_signals`."
        ),
        "",
        "## What is worth having",
        "",
        f"| signal | {' | '.join(each['data'] for each in results)} | what became of it |",
        "|---|" + "---|" * len(results) + "---|",
        *(verdict(results, name, text) for name, text in VERDICTS),
    ]
    return "\n".join([*head, *(line for each in results for line in section(each))]) + "\n"


def verdict(results: Sequence[dict[str, Any]], name: str, text: str) -> str:
    figures = " | ".join(f"{mean_of(each['runs'], name, 'all'):.2f}" for each in results)
    return f"| {name} | {figures} | {text} |"


def section(result: dict[str, Any]) -> list[str]:
    runs = result["runs"]
    names = sorted(runs[0]["signals"], key=lambda name: -mean_of(runs, name, "all"))
    models = "1 model" if len(runs) == 1 else f"{len(runs)} models"
    losses = ", ".join(f"{run['loss']:.2f}" for run in runs)
    lines = [
        "",
        f"## {result['data']}",
        "",
        f"{result['frames']} frames in {result['groups']} groups, {models}, mean loss {losses}.",
        "",
        "| signal | all | low | easy | hard | boxes |",
        "|---|---|---|---|---|---|",
    ]
    return lines + [row(runs, name) for name in names]


def row(runs: Sequence[dict[str, Any]], name: str) -> str:
    every = [run["signals"][name]["all"] for run in runs]
    spread = f" ({min(every):.2f} to {max(every):.2f})" if len(runs) > 1 else ""
    cells = [f"{mean_of(runs, name, part):.2f}" for part in ("low", "easy", "hard", "boxes")]
    shown = f"**{name}**" if name == OURS else name
    return f"| {shown} | {np.mean(every):.2f}{spread} | " + " | ".join(cells) + " |"


def quiet(done: int, total: int, what: str) -> None:
    return None


def mean_of(runs: Sequence[dict[str, Any]], name: str, part: str) -> float:
    return float(np.mean([run["signals"][name][part] for run in runs]))


if __name__ == "__main__":
    main()
