import pytest

from connectors.label_studio.results import to_pixels
from connectors.ports import Box
from demo.annotator import answered, corrected, decide

SIZE = (100, 50)
CAR = ("car", 10.0, 10.0, 30.0, 30.0)
PERSON = ("person", 50.0, 10.0, 60.0, 40.0)


def region(identity: str, name: str, x: float, y: float, width: float, height: float) -> dict[str, object]:
    """A predicted box in px as Label Studio holds it."""
    value = {
        "x": x,
        "y": 2 * y,
        "width": width,
        "height": 2 * height,
        "rotation": 0,
        "rectanglelabels": [name],
    }
    return {"id": identity, "type": "rectanglelabels", "value": value}


def test_a_box_that_fits_is_kept_a_loose_one_moved_a_missing_one_drawn_a_wrong_one_gone() -> None:
    drawn = [region("fits", "car", 10, 10, 20, 20), region("wrong", "car", 80, 30, 10, 10)]
    answer = corrected(drawn, [CAR, PERSON], SIZE)
    assert [(r["id"], r["origin"]) for r in answer] == [("fits", "prediction"), ("drawn1", "manual")]
    loose = corrected([region("loose", "car", 10, 10, 20, 14)], [CAR], SIZE)
    assert (loose[0]["id"], loose[0]["origin"]) == ("loose", "prediction-changed")
    assert to_pixels(loose[0]["value"], *SIZE) == pytest.approx(CAR[1:])


def test_a_box_of_another_class_is_put_right() -> None:
    answer = corrected([region("a", "truck", 10, 10, 20, 20)], [CAR], SIZE)
    assert answer[0]["origin"] == "prediction-changed"
    assert answer[0]["value"]["rectanglelabels"] == ["car"]


def test_an_empty_scene_is_submitted_empty() -> None:
    assert corrected([region("a", "car", 1, 1, 5, 5)], [], SIZE) == []
    assert answered([Box("car", (1, 1, 6, 6))], []) == []


def test_one_prediction_serves_one_object() -> None:
    twins = [CAR, ("car", 11.0, 10.0, 31.0, 30.0)]
    decisions = decide(["car"], [CAR[1:]], twins)
    assert [d.kept for d in decisions] == [0, None]
    assert [box.xyxy for box in answered([Box("car", CAR[1:])], twins)] == [CAR[1:], twins[1][1:]]
