"""The demo's last page: what was blind, how that was found, what was labeled and why, and what it
bought, as measured.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, PackageLoader, select_autoescape

from connectors.files import write_atomically
from connectors.images import decode, inspect
from connectors.ports import Box, Detector, Purpose
from demo.plan import Plan
from demo.run import Outcome
from demo.scoring import HeldOutSet, Score, load_tests
from demo.world_schema import Condition
from demo.world_schema import Gap as PlantedGap
from loop.base.jsonable import plain
from loop.math.boxes.drawn import predicted_boxes
from loop.project.project import Project
from loop.project.wiring import Parts
from loop.web.thumbnails import data_uri, thumbnail

LEAD = 0.10
LOST_AP50 = 0.02
LOST_AP = 0.03
SHOWN = 18
TIMES = {"day": "by day", "dusk": "at dusk", "night": "by night"}
WEATHERS = {"clear": "", "fog": "in fog", "rain": "in rain", "snow": "in snow"}
QUALITIES = {
    "sharp": "",
    "blurred": "with blur",
    "compressed": "heavily compressed",
    "low resolution": "in low resolution",
    "dirty lens": "through a dirty lens",
}
LOOP, RANDOM, REPLAY, DEPLOYED = "loop", "random", "replay only", "deployed"


@dataclass(frozen=True)
class Planted:
    """One planted gap: how it was found and what became of it. ap50: by model; of the class itself
    where a class is the gap. shown: whether chance does not explain it, else it was suspected.
    """

    name: str
    found_as: list[str]
    rank: int | None
    shown: bool
    recall: float
    ap50: dict[str, float]
    labeled: int
    labeled_at_random: int
    shots: list[tuple[str, str]]


@dataclass(frozen=True)
class Requirement:
    text: str
    holds: bool


def write_report(outcome: Outcome, parts: Parts, folder: Path) -> tuple[Path, list[Requirement]]:
    """Writes report.html and result.json to `folder`; the page's path and what was required of the
    demo.
    """
    truth = _truth(folder / "truth")
    planted = [_planted(outcome, parts, gap, truth, folder) for gap in outcome.plan.world.production.gaps]
    needs = requirements(outcome, planted)
    page = folder / "report.html"
    write_atomically(page, _render(outcome, parts, planted, needs))
    write_atomically(folder / "result.json", json.dumps(_result(outcome, planted, needs), indent=1))
    return page, needs


def gap_ap50(scores: dict[str, Score], gap: PlantedGap) -> float:
    """AP50 on the gap's held-out scenes; where the gap is a class, of that class."""
    score = scores[gap.name]
    if gap.where.object:
        return score.per_class[gap.where.object] or 0.0
    return score.ap50


def requirements(outcome: Outcome, planted: Sequence[Planted]) -> list[Requirement]:
    """What must hold, as measured here. Nothing is required of control groups that were not
    trained.
    """
    usual = outcome.plan.world.production.usual
    before, after = outcome.scores[DEPLOYED][usual], outcome.scores[LOOP][usual]
    rows = [
        Requirement(
            f"{p.name}: AP50 rises over the deployed model ({p.ap50[DEPLOYED]:.3f} → {p.ap50[LOOP]:.3f})",
            p.ap50[LOOP] > p.ap50[DEPLOYED],
        )
        for p in planted
    ]
    if planted and RANDOM in outcome.scores:
        ours, chance = (float(np.mean([p.ap50[name] for p in planted])) for name in (LOOP, RANDOM))
        rows.append(
            Requirement(
                f"mean AP50 over the gaps is at least {LEAD:.2f} above random labels ({ours:.3f} against"
                f" {chance:.3f})",
                ours - chance >= LEAD,
            )
        )
    rows.append(
        Requirement(
            f"{usual} loses at most {LOST_AP50} AP50 ({before.ap50:.3f} → {after.ap50:.3f})",
            before.ap50 - after.ap50 <= LOST_AP50,
        )
    )
    rows.append(
        Requirement(
            f"{usual} loses at most {LOST_AP} mAP50-95 ({before.ap:.3f} → {after.ap:.3f})",
            before.ap - after.ap <= LOST_AP,
        )
    )
    return rows


def deployed_words(plan: Plan) -> str:
    """What was deployed, and what its training set holds."""
    training = plan.world.training
    kinds = list(dict.fromkeys(map(_words, training.conditions)))
    held = f"{training.frames} frames {_listed(kinds)}"
    if training.rare:
        article = "an" if training.rare.name[0] in "aeiou" else "a"
        held += f", {training.rare.instances or 'none'} of them with {article} {training.rare.name}"
    if plan.weights:
        return f"The detector {plan.weights.name} was deployed, beside a training set of {held}."
    return f"A detector was deployed that was trained on {held}."


def _words(condition: Condition) -> str:
    """As in: by night in fog through a dirty lens."""
    parts = (TIMES[condition.time], WEATHERS[condition.weather], QUALITIES[condition.quality])
    return " ".join(part for part in parts if part)


def _listed(kinds: Sequence[str]) -> str:
    return " and ".join([", ".join(kinds[:-1]), kinds[-1]]) if len(kinds) > 1 else kinds[0]


def _truth(folder: Path) -> dict[str, dict[str, Any]]:
    with (folder / "production.jsonl").open(encoding="utf-8") as lines:
        return {row["sha256"]: row for row in map(json.loads, lines)}


def _planted(
    outcome: Outcome, parts: Parts, gap: PlantedGap, truth: dict[str, dict[str, Any]], folder: Path
) -> Planted:
    inside = {i for i, row in enumerate(outcome.view.frames) if truth[row.content_hash]["gap"] == gap.name}
    matches = [
        (place, found) for place, found in enumerate(outcome.view.gaps, 1) if _mostly(found.frames, inside)
    ]
    covered = set().union(*(set(map(int, found.frames)) for _, found in matches)) & inside
    return Planted(
        name=gap.name,
        found_as=[found.why for _, found in matches],
        rank=matches[0][0] if matches else None,
        shown=any(found.shown for _, found in matches),
        recall=len(covered) / max(len(inside), 1),
        ap50={name: gap_ap50(scores, gap) for name, scores in outcome.scores.items()},
        labeled=_hits(
            (
                item.content_hash
                for batch in outcome.batches
                for item in batch.chosen
                if item.purpose == Purpose.TRAIN
            ),
            truth,
            gap.name,
        ),
        labeled_at_random=_hits(outcome.random_hashes, truth, gap.name),
        shots=_before_after(outcome, parts, gap, folder),
    )


def _mostly(frames: Iterable[int], inside: set[int]) -> bool:
    """Whether at least half of a found gap's frames are of the planted one."""
    rows = list(map(int, frames))
    return bool(rows) and sum(row in inside for row in rows) >= len(rows) / 2


def _hits(hashes: Iterable[str], truth: dict[str, dict[str, Any]], name: str) -> int:
    return sum(truth[sha256]["gap"] == name for sha256 in hashes)


def _before_after(outcome: Outcome, parts: Parts, gap: PlantedGap, folder: Path) -> list[tuple[str, str]]:
    """Two held-out scenes, what the deployed model sees in them and what the new one sees."""
    tests = {each.name: each for each in load_tests(folder / "truth" / "test")}
    chosen = _telling(tests[gap.name])
    detectors = [
        ("before", parts.detector_of(outcome.weights)),
        ("after", parts.detector_of(next(each.weights for each in outcome.trained if each.name == LOOP))),
    ]
    return [
        (label, _drawn(detector, path, parts.project.classes))
        for path in chosen
        for label, detector in detectors
    ]


def _telling(tests: HeldOutSet, count: int = 2) -> list[Path]:
    """The scenes with most objects: they show most."""
    order = sorted(range(len(tests.images)), key=lambda i: (-len(tests.truths[i].class_id), i))
    return [tests.images[i] for i in order[:count]]


def _drawn(detector: Detector, path: Path, classes: Sequence[str]) -> str:
    data = path.read_bytes()
    image = decode(data, inspect(data))
    found = detector.detect([image])[0]
    boxes = [
        Box(classes[class_id], (float(x1), float(y1), float(x2), float(y2)))
        for (x1, y1, x2, y2), class_id, confidence in zip(
            found.xyxy, found.class_id, found.confidence, strict=True
        )
        if confidence >= 0.25
    ]
    return data_uri(image, boxes, width=320)


def _render(outcome: Outcome, parts: Parts, planted: Sequence[Planted], needs: Sequence[Requirement]) -> str:
    pages = Environment(loader=PackageLoader("demo"), autoescape=select_autoescape())
    usual = outcome.plan.world.production.usual
    order = [name for name in (DEPLOYED, REPLAY, RANDOM, LOOP) if name in outcome.scores]
    mean = {name: float(np.mean([p.ap50[name] for p in planted])) if planted else 0.0 for name in order}
    chosen = [item for batch in outcome.batches for item in batch.chosen if item.purpose == Purpose.TRAIN]
    return pages.get_template("report.html").render(
        outcome=outcome,
        planted=planted,
        needs=needs,
        order=order,
        mean=mean,
        usual=usual,
        deployed=deployed_words(outcome.plan),
        chosen=[(item, _shot(parts.project, outcome, item.frame)) for item in chosen[:SHOWN]],
        trained=outcome.labeled,
        evaluated=sum(len(batch.chosen) for batch in outcome.batches) - len(chosen),
        frames=len(outcome.view.production),
        conditions=list(outcome.scores[DEPLOYED]),
        classes=parts.project.classes,
        root=parts.project.root,
        verdict=outcome.row.verdict or {"reasons": [], "checks": []},
    )


def _shot(project: Project, outcome: Outcome, seq: int) -> str:
    place = outcome.view.production.seq.tolist().index(seq)
    boxes = predicted_boxes(outcome.view.detections[place], project.classes)
    return thumbnail(project.store / outcome.view.frames[place].path, boxes)


def _result(outcome: Outcome, planted: Sequence[Planted], needs: Sequence[Requirement]) -> dict[str, Any]:
    """What `benchmarks/demo_gain` and other programs read."""
    return {
        "world_seed": outcome.plan.world.seed,
        "round": {
            "status": str(outcome.row.status),
            "reasons": (outcome.row.verdict or {}).get("reasons", []),
        },
        "labeled": outcome.labeled,
        "gaps": [{**asdict(p), "shots": None} for p in planted],
        "found": [{"name": gap.name, "kind": gap.kind, "why": gap.why} for gap in outcome.view.gaps],
        "scores": plain(outcome.scores),
        "arms": [
            {"name": each.name, "frames": each.frames, "passes": each.passes} for each in outcome.trained
        ],
        "requirements": [asdict(need) for need in needs],
        "seconds": outcome.seconds,
    }
