from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sqlalchemy import func, select

from benchmarks.scale import late, verbs
from benchmarks.scale.__main__ import DOCUMENT, add, read_results
from benchmarks.scale.aims import aims
from benchmarks.scale.measures import MEASURES, Asked, measured, prepare
from benchmarks.scale.meter import Meter
from benchmarks.scale.models import number_in, picture_of
from benchmarks.scale.project import copy_of
from benchmarks.scale.report import cost_of, document, growth, thinned
from benchmarks.scale.runs import Limits, child, over
from benchmarks.scale.world import LIGHT, PRODUCTION, bursts, sentence_vectors, vectors
from connectors.images import decode
from db.engine import read
from db.labels import count_labels
from db.states import Role
from db.tables import Embedding, Frame, Group, NearDuplicate

SIZE = 200
ASKED = Asked(budget=10, frames=20, incoming=30)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("scale") / "tiny"
    prepare(folder, SIZE)
    return folder


def test_the_page_is_what_the_results_say() -> None:
    assert DOCUMENT.read_text(encoding="utf-8") == document(*read_results())


def test_a_project_has_what_it_says(tiny: Path) -> None:
    made = json.loads((tiny / "made.json").read_text(encoding="utf-8"))
    parts = late.opened(tiny)
    with read(parts.project.engine) as session:
        counts = [
            session.execute(select(func.count()).select_from(table)).scalar_one()
            for table in (Frame, Embedding, NearDuplicate)
        ]
        days = select(Group.key, Group.role).where(~Group.key.startswith("imported"))
        roles = {key: role for key, role in session.execute(days)}  # noqa: C416
        labels = count_labels(session, source="annotation"), count_labels(session, source="imported")
    assert counts == [2 * SIZE] * 3
    assert len(roles) == made["camera_days"]
    by_hash = {key: verbs.role_of(key, "scale", 0.25) for key in roles}
    assert sum(roles[key] != role for key, role in by_hash.items()) <= 1
    assert set(roles.values()) == set(Role)
    assert labels == (made["labels"], SIZE)
    verbs.close(parts)


@pytest.mark.slow
def test_every_measure_end_to_end(tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.scale.measures.WITHOUT_MODELS", ("--help",))
    monkeypatch.setattr("benchmarks.scale.measures.RUNS", 2)
    copy = copy_of(tiny, tmp_path / "copy")
    found: dict[str, Any] = {
        name: measured(name, copy if measure.changes else tiny, ASKED) for name, measure in MEASURES.items()
    }
    assert all(
        cost["cpu"] >= 0 and cost["peak_mb"] > 10
        for each in found.values()
        for cost in each["costs"].values()
    )
    assert set(found["pages"]["facts"].values()) == {200}
    assert found["gaps"]["facts"]["gaps"] > 1
    assert found["select"]["facts"]["lines"] > 5
    assert found["round"]["facts"]["held_out"] > SIZE * 0.2
    assert found["analyze"]["facts"]["analyzed"] == 20
    assert len(found["service"]["facts"]["memory_mb"]) == 2


@pytest.mark.slow
def test_a_measure_runs_in_a_process_of_its_own(tmp_path: Path) -> None:
    file = tmp_path / "results" / "now.json"
    work = tmp_path / "work"
    add(file, work, 40, ["status"], ASKED, Limits(), again=False)
    result = json.loads(file.read_text(encoding="utf-8"))
    cost = cost_of(result, 40, "status")
    assert cost is not None
    assert 0 < cost["cpu"] < 10
    assert result["sizes"]["40"]["made"]["production"] == 40


def test_a_measure_is_ended_where_it_takes_too_much(tiny: Path) -> None:
    assert child("status", tiny, ASKED, Limits(gigabytes=0.001)) == {"ended": "over 0.001 GB"}


def test_what_a_measure_may_take() -> None:
    here = Path("/proc/self")
    assert over(Limits(), here, wall=0) == ""
    assert over(Limits(gigabytes=0.001), here, wall=0) == "over 0.001 GB"
    assert over(Limits(seconds=0.01), here, wall=0) == "over 0.01 CPU s"
    assert over(Limits(seconds=600), here, wall=4000) == "over 3600 s"
    assert "the machine had under 1e+06 GB left" in over(Limits(spared=1e6), here, wall=0)


def test_a_picture_carries_its_number() -> None:
    for number in (0, 17, 4_095, 1_000_003):
        assert number_in(decode(picture_of(number))) == number


def test_the_world_is_repeatable_and_prompts_tell_the_light() -> None:
    world = bursts(500, PRODUCTION, 1)
    rows = vectors(world, 1)
    assert len(rows) == world.length.sum() == 500
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-5)
    np.testing.assert_array_equal(rows, vectors(bursts(500, PRODUCTION, 1), 1))
    texts = sentence_vectors(("in daylight", "a scene at dusk", "a photo taken at night"))
    told = (rows @ texts.T).argmax(axis=1)
    assert len(LIGHT) == 3
    assert (told == world.light[world.frames()]).mean() > 0.8


def test_growth_by_hand() -> None:
    assert growth(2, 20, (10_000, 100_000)) == pytest.approx(10)
    assert growth(2, 4, (10_000, 1_000_000)) == pytest.approx(2**0.5)
    assert thinned([float(number) for number in range(101)]) == [
        float(number) for number in range(0, 101, 10)
    ]


def test_the_page_tells_costs_growth_and_ends() -> None:
    small, large = (_version_size(cpu) for cpu in (1.0, 12.0))
    large["measures"]["select"] = {"ended": "over 12 GB"}
    version = {"name": "now", "sizes": {"10000": small, "1000000": large}}
    page = document([version], None)
    assert "| now | CPU s | 1.00 | 12.0 (x 3.5) |" in page
    assert "ended: over 12 GB" in page
    kept = {aim: holds for aim, _, holds in aims(version, None, cost_of)}
    assert not kept["gaps: at most 10 CPU s and 1.5 GB"]
    assert kept["status: at most 1 CPU s"]


def test_a_speed_is_decided_on_a_quiet_machine_alone() -> None:
    def decided(load: float, *shares: float) -> tuple[str, bool]:
        runs = [{"share": share, "bare": {"load": 1.0}, "analysis": {"load": load}} for share in shares]
        return list(aims({"sizes": {}}, {"runs": runs, "cores": 2}, cost_of))[-1][1:]

    assert decided(2.0, 0.95, 0.91, 1.01) == ("0.95 (0.91 to 1.01, 3 runs)", True)
    assert decided(2.0, 0.95, 0.89, 1.01)[1] is False
    for load, share in ((2.0, 1.6), (9.0, 0.93)):
        said, holds = decided(load, 0.92, share, 0.93)
        assert said.startswith("undecided")
        assert not holds


def test_a_meter_counts_children(tmp_path: Path) -> None:
    meter = Meter()
    meter.of_command("child", ["python3", "-c", "sum(range(3_000_000)); print(bytearray(60_000_000)[:1])"])
    assert 0.01 < meter.costs["child"]["cpu"] < 10


def _version_size(gaps: float) -> dict[str, Any]:
    cost = {"cpu": gaps, "wall": gaps, "peak_mb": 100.0, "load": 0.0}
    light = dict(cost, cpu=0.1)
    made = {
        "production": 1,
        "imported": 1,
        "camera_days": 1,
        "asked": 1,
        "labels": 1,
        "unnamed": 0.1,
        "megabytes": 1.0,
    }
    return {
        "made": made,
        "measures": {
            "gaps": {"costs": {"gaps": cost}, "facts": {}},
            "select": {"costs": {"select": cost}, "facts": {}},
            "status": {"costs": {"status": light}, "facts": {}},
        },
    }
