"""Projects made by versions before go on: nothing of them is lost, and what they called by words
has an id.

`before_slices.zip` was made by the version of schema 0002 with the fakes: 54 frames, three batches,
44 labels, and a round that was judged and rejected.
"""

from __future__ import annotations

import sqlite3
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from alembic import command

from db.engine import migration_config, read
from db.frames import frame_counts
from db.labels import labels
from db.rounds import rounds
from db.slices import slices
from db.states import RoundStatus, SliceKind
from db.tasks import batches, tasks
from loop.analysis import near_duplicates
from loop.gaps import coverage_view
from loop.gaps.arrivals import analyze
from loop.project.project import open_project
from loop.selection.select import select
from tests.fakes import FakeParts, quiet

OLD = Path(__file__).with_name("before_slices.zip")
KEPT = (
    "SELECT frame, purpose, status, key, rank, priority, reason FROM label_tasks ORDER BY id",
    "SELECT frame, boxes, purpose, source, annotation_id FROM labels ORDER BY frame",
    "SELECT id, task_id, external_id, author, cancelled, result FROM annotations ORDER BY id",
    "SELECT id, status, base_model_id, dataset_id, candidate_id, settings FROM rounds ORDER BY id",
    "SELECT id, status, strategy, seed, budget FROM batches ORDER BY id",
    "SELECT * FROM frames ORDER BY seq",
    "SELECT * FROM dataset_members ORDER BY dataset_id, frame",
    "SELECT * FROM deployments ORDER BY id",
    "SELECT * FROM detections ORDER BY frame, producer",
    "SELECT * FROM near_duplicates ORDER BY frame",
)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    with zipfile.ZipFile(OLD) as packed:
        packed.extractall(tmp_path / "project")
    return tmp_path / "project"


@pytest.fixture
def upgraded(root: Path) -> Iterator[FakeParts]:
    parts = FakeParts(open_project(root))
    yield parts
    parts.project.engine.dispose()


def rows_of(root: Path, query: str) -> list[Any]:
    with sqlite3.connect(root / "fieldloop.db") as connection:
        found = connection.execute(query).fetchall()
    connection.close()
    return found


def test_an_upgrade_keeps_everything(root: Path) -> None:
    before = [rows_of(root, query) for query in KEPT]
    strata = rows_of(root, "SELECT id, batch_id, stratum FROM label_tasks ORDER BY id")
    assert all(before)
    open_project(root).engine.dispose()
    assert [rows_of(root, query) for query in KEPT] == before
    named = rows_of(
        root,
        "SELECT label_tasks.id, slices.name FROM label_tasks LEFT JOIN slices ON slices.id = slice_id ORDER"
        " BY 1",
    )
    for (task, batch, stratum), (same, name) in zip(strata, named, strict=True):
        called = {"region 1": f"region 1 (batch {batch})", "ordinary frames": None}.get(stratum, stratum)
        assert (task, called) == (same, name)


def test_what_was_named_is_led_to_slices(upgraded: FakeParts) -> None:
    with read(upgraded.project.engine) as session:
        known = {row.key: row for row in slices(session)}
        chosen = {(task.batch_id, task.slice_id) for task in tasks(session) if task.slice_id}
        assert all(task.shows == ((task.slice_id,) if task.slice_id else ()) for task in tasks(session))
        of_batches = {batch.id: batch.settings["gaps"] for batch in batches(session)}
        (judged,) = rounds(session)
    assert {key: row.kind for key, row in known.items()} == {
        "region/batch-1-1": SliceKind.REGION,
        "class/helmet": SliceKind.CLASS,
        "brightness/dark": SliceKind.MEASURED,
    }
    dark, helmet = known["brightness/dark"].id, known["class/helmet"].id
    assert chosen == {(1, known["region/batch-1-1"].id), (1, helmet), (2, dark), (2, helmet)}
    assert [(gap["name"], gap["slice_id"]) for gap in of_batches[2]] == [
        ("brightness: dark", dark),
        ("class: helmet", helmet),
    ]
    assert judged.status is RoundStatus.REJECTED
    assert judged.verdict is not None
    by_name = {check["name"]: check["slice_id"] for check in judged.verdict["checks"]}
    assert by_name["no fall: class helmet"] == helmet
    assert by_name["no fall: condition brightness: dark"] == dark
    assert by_name["no fall: overall"] is None


def test_an_upgraded_project_goes_on(upgraded: FakeParts) -> None:
    with read(upgraded.project.engine) as session:
        assert frame_counts(session)["production"] == 54
        assert len(labels(session)) == 44
        was = {row.key: row.id for row in slices(session)}
    analyze(upgraded, quiet)
    view = coverage_view.build(upgraded, quiet)
    assert {key: view.slice_ids[key] for key in ("brightness/dark", "class/helmet")} == {
        key: was[key] for key in ("brightness/dark", "class/helmet")
    }
    report = select(upgraded, quiet, budget=4)
    assert len(report.chosen) == 4
    with read(upgraded.project.engine) as session:
        assert len(tasks(session, batch=report.batch)) == 4


def test_frames_that_were_in_no_cluster_yet_wait_for_one(root: Path) -> None:
    with sqlite3.connect(root / "fieldloop.db") as connection:
        (embedder,) = connection.execute("SELECT max(producer) FROM near_duplicates").fetchone()
        connection.execute(
            "DELETE FROM near_duplicates WHERE frame % 2"
            " AND frame NOT IN (SELECT leader FROM near_duplicates WHERE leader <> frame)"
        )
        connection.execute(
            "UPDATE camera_thresholds SET frames = (SELECT count(*) FROM near_duplicates"
            " JOIN frames ON seq = frame WHERE frames.camera = camera_thresholds.camera)"
        )
        known = connection.execute("SELECT frame, leader FROM near_duplicates ORDER BY 1").fetchall()
        (embedded,) = connection.execute("SELECT count(*) FROM embeddings").fetchone()
    connection.close()
    project = open_project(root)
    assert 0 < near_duplicates.update(project.engine, embedder) == embedded - len(known)
    project.engine.dispose()
    now = dict(rows_of(root, "SELECT frame, leader FROM near_duplicates"))
    assert len(now) == embedded
    assert {frame: now[frame] for frame, _ in known} == dict(known)
    assert rows_of(root, "SELECT * FROM unclustered") == []


def test_the_names_come_back_when_the_schema_is_taken_back(root: Path) -> None:
    query = "SELECT id, arm, stratum FROM label_tasks ORDER BY id"
    before = rows_of(root, query)
    project = open_project(root)
    with project.engine.begin() as connection:
        command.downgrade(migration_config(connection), "0002")
    project.engine.dispose()
    taken_back = [(n, arm, name and name.replace(" (batch 1)", "")) for n, arm, name in rows_of(root, query)]
    assert taken_back == before
