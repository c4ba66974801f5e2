"""The real `fieldloop serve` fed with frames and answers: it retrains, promotes, analyzes anew, and
is led back.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from connectors.files import sha256_of_file
from connectors.label_studio.results import KEY
from tests.loop.service.test_kills import standing
from tests.loop.service.world import CLASSES, SIDE, Served, World, deliver, until, world_at
from tests.studio import Person, Studio, drawn

pytestmark = [pytest.mark.slow, pytest.mark.studio]
FRAMES, IMPORTED, LATER = 72, 20, 6
OBJECT = (24, 16, 56, 48)
WORK_S, TRAINED_S = 120.0, 400.0
SETTINGS = {
    "evaluation.group_share": 0.4,
    "select.daily_budget": FRAMES,
    "select.share_of_new": 1.0,
    "select.evaluation_share": 0.4,
    "round.labels": 20,
    "round.epochs": 25,
    "round.imgsz": SIDE,
    "round.batch": 8,
    "round.lr0": 0.01,
    "round.train": {
        "nbs": 8, "optimizer": "AdamW", "warmup_epochs": 0.0, "mosaic": 0.0, "fliplr": 0.0, "translate": 0.0,
        "scale": 0.0, "hsv_h": 0.0, "hsv_s": 0.0, "erasing": 0.0,
    },
    "gate.max_slowdown": 10.0,
}  # fmt: skip


def class_of(path: Path) -> str:
    return CLASSES[int(path.stem.split("-")[-1]) % 2]


def answer(studio: Studio, title: str, truth: Mapping[str, str]) -> None:
    """Draws what is there into every task that nobody answered."""
    person = Person(studio)
    for task in standing(studio, title):
        if not task["total_annotations"]:
            name = truth[task["data"][KEY].split("-")[0]]
            person.submit(task["id"], [drawn(name, OBJECT, (SIDE, SIDE))])


def analyzed(view: Mapping[str, Any], sha256: str) -> tuple[int, int]:
    """Frames that the detector of these weights has seen, and all; (0, 0) where status shows
    another detector.
    """
    (found,) = [item for item in view["analyzed"] if item["kind"] == "detector"]
    return (found["done"], found["total"]) if sha256[:16] in found["name"] else (0, 0)


def ended(served: Served) -> dict[str, Any] | None:
    row: dict[str, Any] = served.status()["rounds"][0]
    return row if row["status"] in ("promoted", "rejected", "failed", "cancelled") else None


@pytest.mark.timeout(900)
def test_it_promotes_by_itself_and_is_led_back_while_it_runs(
    tmp_path: Path, label_studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("FIELDLOOP_LABEL_STUDIO_TOKEN", raising=False)
    title = f"promotion {tmp_path.name}"[:50]
    world = world_at(label_studio, tmp_path / "world", title, SETTINGS)
    weights = world.root / "models" / "deployed.pt"
    first = sha256_of_file(weights)
    truth = {sha256_of_file(path)[:20]: class_of(path) for path in deliver(world.incoming, FRAMES)}
    served = world.serve()
    try:
        _follow(world, served, label_studio, title, truth, first)
        code, _ = served.terminate()
        assert code == 0, served.said()[-2000:]
    finally:
        if served.process.poll() is None:
            served.kill()
    assert "Traceback" not in served.said()


def _follow(
    world: World, served: Served, studio: Studio, title: str, truth: Mapping[str, str], first: str
) -> None:
    weights = world.root / "models" / "deployed.pt"

    def opened() -> bool:
        answer(studio, title, truth)
        return bool(served.status()["rounds"])

    until(opened, WORK_S)
    row = until(lambda: ended(served), TRAINED_S)
    assert row["status"] == "promoted", row
    second = sha256_of_file(weights)
    assert second != first
    assert served.status()["deployed"]["sha256"] == second
    gained = next(check for check in row["verdict"]["checks"] if check["name"] == "better overall")
    assert (gained["status"], gained["groups"] >= 8) == ("pass", True)

    all_of = FRAMES + IMPORTED
    until(lambda: analyzed(served.status(), second) == (all_of, all_of), WORK_S)
    deliver(world.incoming, LATER, first=1000 + FRAMES)
    all_of += LATER
    until(lambda: analyzed(served.status(), second) == (all_of, all_of), WORK_S)

    world.run("models", "rollback")
    assert sha256_of_file(weights) == first
    assert analyzed(served.status(), first)[0] >= FRAMES + IMPORTED
    until(lambda: analyzed(served.status(), first) == (all_of, all_of), WORK_S)
