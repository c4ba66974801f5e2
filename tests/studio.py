"""What tests need around a real Label Studio: images on disk, and a person who answers through the
API.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import httpx
import pytest
from PIL import Image, ImageDraw

from connectors.label_studio.results import to_percent
from connectors.label_studio.server import ServerInfo
from connectors.ports import Box, LabelTask

Corners = tuple[float, float, float, float]


@dataclass(frozen=True)
class Studio:
    """A running server and the folder that it serves."""

    server: ServerInfo
    document_root: Path

    def call(self, method: str, path: str, **options: Any) -> Any:
        """The decoded answer of one API request with the server's token."""
        answer = httpx.request(
            method,
            f"{self.server.url}/api/{path}",
            headers={"Authorization": f"Token {self.server.token}"},
            trust_env=False,
            timeout=60,
            **options,
        )
        answer.raise_for_status()
        return answer.json() if answer.content else None


@dataclass(frozen=True)
class Person:
    """Answers tasks as the browser would, starting from the prediction that the task shows."""

    studio: Studio

    def regions(self, task_id: int) -> list[dict[str, Any]]:
        """The predicted boxes as an answer holds them when nobody touches them."""
        task = self.studio.call("GET", f"tasks/{task_id}")
        return [{**region, "origin": "prediction"} for region in task["predictions"][0]["result"]]

    def accept(self, task_id: int) -> int:
        return self.submit(task_id, self.regions(task_id))

    def move(self, task_id: int, index: int, xyxy: Corners, size: tuple[int, int]) -> int:
        regions = self.regions(task_id)
        moved = {**regions[index]["value"], **(to_percent(xyxy, *size) or {})}
        regions[index] |= {"value": moved, "origin": "prediction-changed"}
        return self.submit(task_id, regions)

    def remove(self, task_id: int, index: int) -> int:
        regions = self.regions(task_id)
        return self.submit(task_id, regions[:index] + regions[index + 1 :])

    def add(self, task_id: int, class_name: str, xyxy: Corners, size: tuple[int, int]) -> int:
        return self.submit(task_id, [*self.regions(task_id), drawn(class_name, xyxy, size)])

    def empty(self, task_id: int) -> int:
        return self.submit(task_id, [])

    def skip(self, task_id: int) -> int:
        return self.submit(task_id, self.regions(task_id), was_cancelled=True)

    def submit(self, task_id: int, result: Sequence[Mapping[str, Any]], **more: Any) -> int:
        """The id of a new answer."""
        prediction = self.studio.call("GET", f"tasks/{task_id}")["predictions"][0]["id"]
        answer = {"result": list(result), "lead_time": 4.5, "parent_prediction": prediction, **more}
        return int(self.studio.call("POST", f"tasks/{task_id}/annotations/", json=answer)["id"])

    def change(self, annotation_id: int, result: Sequence[Mapping[str, Any]]) -> None:
        self.studio.call("PATCH", f"annotations/{annotation_id}/", json={"result": list(result)})


@dataclass(frozen=True)
class Colleague:
    """Another person with an account of their own, who came by the invitation."""

    studio: Studio
    email: str
    client: httpx.Client

    @staticmethod
    def join(studio: Studio, email: str, password: str = "a long enough one") -> Colleague:
        """Signs up and is signed in from then on."""
        invitation = studio.call("GET", "invite")["invite_url"]
        client = httpx.Client(base_url=studio.server.url, trust_env=False, timeout=60, follow_redirects=True)
        client.get(invitation)
        form = {"email": email, "password": password, "csrfmiddlewaretoken": client.cookies["csrftoken"]}
        client.post(invitation, data=form, headers={"Referer": studio.server.url}).raise_for_status()
        made = Colleague(studio, email, client)
        assert made.call("GET", "current-user/whoami")["email"] == email
        return made

    def call(self, method: str, path: str, **options: Any) -> Any:
        """The decoded answer of one API request as this person."""
        token = {"X-CSRFToken": self.client.cookies["csrftoken"], "Referer": self.studio.server.url}
        answer = self.client.request(method, f"/api/{path}", headers=token, **options)
        answer.raise_for_status()
        return answer.json() if answer.content else None

    def submit(self, task_id: int, result: Sequence[Mapping[str, Any]]) -> int:
        """The id of a new answer."""
        answer = {"result": list(result), "lead_time": 6.0}
        return int(self.call("POST", f"tasks/{task_id}/annotations/", json=answer)["id"])


def drawn(class_name: str, xyxy: Corners, size: tuple[int, int], rotation: float = 0) -> dict[str, Any]:
    """A box as a person draws it."""
    return {
        "id": f"drawn{xyxy[0]:.0f}",
        "type": "rectanglelabels",
        "from_name": "label",
        "to_name": "image",
        "original_width": size[0],
        "original_height": size[1],
        "image_rotation": 0,
        "origin": "manual",
        "value": {**(to_percent(xyxy, *size) or {}), "rotation": rotation, "rectanglelabels": [class_name]},
    }


def picture(path: Path, objects: Sequence[Corners] = (), size: tuple[int, int] = (320, 240)) -> Path:
    """A gray JPEG with one red rectangle per object."""
    image = Image.new("RGB", size, (90, 95, 100))
    for xyxy in objects:
        ImageDraw.Draw(image).rectangle(xyxy, fill=(220, 30, 30))
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path, quality=95)
    return path


def label_task(
    key: str, image: Path, boxes: Sequence[Box] = (), priority: float = 0.5, **more: Any
) -> LabelTask:
    """A task over `picture`'s default size."""
    meta = {"site": "north", "camera": "gate", "captured_at": "2026-05-01T08:00:00Z"}
    values = {"reason": "rare class", "purpose": "train", "model_version": "v1", "meta": meta, **more}
    return LabelTask(
        key=key, image=image, width=320, height=240, priority=priority, predictions=boxes, **values
    )


def chromium() -> str:
    """The path of a real browser."""
    return (
        shutil.which("chromium") or shutil.which("google-chrome") or absent("Chromium is not on this machine")
    )


def absent(what: str) -> NoReturn:
    """Skips, but fails where everything has to be there."""
    if os.environ.get("CI", "").lower() in {"1", "true"}:
        pytest.fail(f"{what}; CI must have it")
    pytest.skip(what)
