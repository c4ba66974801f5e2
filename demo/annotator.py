"""The stand-in for a person: answers Label Studio tasks from the ground truth, through the API,
knowing only what a browser shows.

It sees the task's image and the boxes drawn on it; by the image's bytes it looks up what is really
there. A predicted box that fits is kept as it is, a loose one is moved, a wrong one is deleted, a
missing one is drawn.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

import httpx
import numpy as np

from connectors.label_studio.results import to_percent
from connectors.ports import Box, Progress
from loop.math.boxes.matching import iou_matrix

PAGE = 100
FITS = 0.8
SAME = 0.5
Corners = tuple[float, float, float, float]
Row = tuple[str, float, float, float, float]


@dataclass(frozen=True)
class Truth:
    """What is in each production frame, by the sha256 of its file."""

    boxes: Mapping[str, tuple[Row, ...]]

    @classmethod
    def read(cls, folder: Path) -> Truth:
        with (folder / "production.jsonl").open(encoding="utf-8") as lines:
            rows = [json.loads(line) for line in lines]
        return cls(
            {row["sha256"]: tuple((box[0], *map(float, box[1:])) for box in row["boxes"]) for row in rows}
        )


@dataclass(frozen=True)
class Annotator:
    """Answers as one user of a Label Studio server."""

    url: str
    token: str
    truth: Truth

    def answer_all(self, project_id: int, progress: Progress) -> int:
        """Answers every task that has no answer yet; how many those were. Raises KeyError for an
        image it has no truth of.
        """
        done = 0
        with self._client() as client:
            todo = list(_unanswered(client, project_id))
            for task in todo:
                self._answer(client, task)
                done += 1
                progress(done, len(todo), "tasks answered")
        return done

    def _client(self) -> httpx.Client:
        headers = {"Authorization": f"Token {self.token}"}
        return httpx.Client(
            base_url=self.url, headers=headers, trust_env=False, timeout=60, follow_redirects=True
        )

    def _answer(self, client: httpx.Client, task: dict[str, Any]) -> None:
        picture = client.get(urljoin(self.url, task["data"]["image"]))
        picture.raise_for_status()
        truth = self.truth.boxes[hashlib.sha256(picture.content).hexdigest()]
        size = (int(task["data"]["width"]), int(task["data"]["height"]))
        predictions = task.get("predictions") or []
        drawn = predictions[0]["result"] if predictions else []
        answer: dict[str, Any] = {
            "result": corrected(drawn, truth, size),
            "lead_time": 6.0 + 2.0 * len(truth),
        }
        if predictions:
            answer["parent_prediction"] = predictions[0]["id"]
        client.post(f"/api/tasks/{task['id']}/annotations/", json=answer).raise_for_status()


@dataclass(frozen=True)
class Decision:
    """What becomes of one true object. kept: the predicted box that is left as it is. moved: the
    one that is put right.
    """

    row: Row
    kept: int | None = None
    moved: int | None = None


def decide(names: Sequence[str], corners: Sequence[Corners], truth: Sequence[Row]) -> list[Decision]:
    """One decision per true object; predicted boxes that none of them mentions are deleted."""
    if not corners or not truth:
        return [Decision(row) for row in truth]
    overlap = iou_matrix(corners, [row[1:] for row in truth])
    taken: set[int] = set()
    decisions = []
    for place, row in enumerate(truth):
        free = [
            int(i)
            for i in np.argsort(-overlap[:, place])
            if int(i) not in taken and overlap[i, place] >= SAME
        ]
        if not free:
            decisions.append(Decision(row))
            continue
        taken.add(free[0])
        fits = overlap[free[0], place] >= FITS and names[free[0]] == row[0]
        decisions.append(Decision(row, kept=free[0]) if fits else Decision(row, moved=free[0]))
    return decisions


def answered(predicted: Sequence[Box], truth: Sequence[Row]) -> list[Box]:
    """The boxes that this annotator leaves, without a server: what the control group's frames are
    labeled with.
    """
    decisions = decide([box.class_name for box in predicted], [box.xyxy for box in predicted], truth)
    return [predicted[d.kept] if d.kept is not None else Box(d.row[0], d.row[1:]) for d in decisions]


def corrected(
    drawn: Sequence[Mapping[str, Any]], truth: Sequence[Row], size: tuple[int, int]
) -> list[dict[str, Any]]:
    """The regions that are submitted, given the predicted ones. size: (width, height) px."""
    names = [region["value"]["rectanglelabels"][0] for region in drawn]
    decisions = decide(names, [_corners(region, size) for region in drawn], truth)
    answer: list[dict[str, Any]] = []
    for place, decision in enumerate(decisions):
        name, *xyxy = decision.row
        if decision.kept is not None:
            answer.append({**drawn[decision.kept], "origin": "prediction"})
        elif decision.moved is not None:
            answer.append(_region(drawn[decision.moved]["id"], name, xyxy, size, "prediction-changed"))
        else:
            answer.append(_region(f"drawn{place}", name, xyxy, size, "manual"))
    return answer


def _unanswered(client: httpx.Client, project_id: int) -> Iterator[dict[str, Any]]:
    page = 1
    while True:
        found = client.get(
            "/api/tasks/", params={"project": project_id, "page": page, "page_size": PAGE, "fields": "all"}
        )
        found.raise_for_status()
        answer = found.json()
        tasks = answer["tasks"]
        yield from (
            task for task in tasks if not task["total_annotations"] and not task["cancelled_annotations"]
        )
        if not tasks or page * PAGE >= answer["total"]:
            return
        page += 1


def _corners(region: Mapping[str, Any], size: tuple[int, int]) -> Corners:
    value = region["value"]
    x, y = value["x"] * size[0] / 100, value["y"] * size[1] / 100
    return x, y, x + value["width"] * size[0] / 100, y + value["height"] * size[1] / 100


def _region(
    identity: str, name: str, xyxy: Sequence[float], size: tuple[int, int], origin: str
) -> dict[str, Any]:
    x1, y1, x2, y2 = xyxy
    percent = to_percent((x1, y1, x2, y2), *size) or {}
    return {
        "id": identity,
        "type": "rectanglelabels",
        "from_name": "label",
        "to_name": "image",
        "original_width": size[0],
        "original_height": size[1],
        "image_rotation": 0,
        "origin": origin,
        "value": {**percent, "rotation": 0, "rectanglelabels": [name]},
    }
