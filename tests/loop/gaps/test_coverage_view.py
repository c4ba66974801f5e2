"""The comparison of production and training set, from the database to named gaps."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from db import index as indexing
from db.vectors import VectorStore
from loop.analysis.analyze import analyze
from loop.base.errors import ProjectError
from loop.base.jsonable import plain
from loop.gaps import coverage_view
from loop.gaps.coverage_view import CoverageView
from loop.ingest.ingest import ingest
from loop.math.coverage.facets import UNKNOWN
from loop.project.project import Project, open_project
from loop.rounds import deploy
from loop.web.pages.gaps import render
from tests.fakes import (
    DARK,
    FakeParts,
    add_checkpoint,
    make_project,
    picture,
    quiet,
    weights,
    write_frames,
)


def with_settings(parts: FakeParts, **gaps: bool) -> FakeParts:
    settings = parts.project.settings
    chosen = settings.model_copy(update={"gaps": settings.gaps.model_copy(update=gaps)})
    return FakeParts(Project(parts.project.root, chosen, parts.project.engine))


@pytest.fixture
def unnamed(analyzed: FakeParts) -> FakeParts:
    """Nothing but the index may find the planted gap."""
    return with_settings(analyzed, metadata=False, measured=False, prompts=False)


def forget_neighbors(parts: FakeParts) -> None:
    for folder in parts.project.indexes.glob("nearest*"):
        shutil.rmtree(folder)


def dark_rows(view: CoverageView) -> set[int]:
    brightness = view.production.measures["brightness"]
    return set(np.flatnonzero(brightness < (DARK + 60) / 255).tolist())


def test_no_model_is_built_once_all_was_analyzed_and_compared(analyzed: FakeParts) -> None:
    before = coverage_view.build(with_settings(analyzed, prompts=True), quiet)
    again = with_settings(analyzed, prompts=True)
    again.dead = {"embedder", "detector"}
    view = coverage_view.build(again, quiet)
    assert view.gaps
    assert coverage_view.lines(view) == coverage_view.lines(before)
    label_everything(analyzed.project, "train")
    assert len(coverage_view.build(again, quiet).training) == 24 + 42


def test_the_planted_gap_is_named(analyzed: FakeParts) -> None:
    view = coverage_view.build(with_settings(analyzed, measured=False), quiet)
    worst = view.gaps[0]
    assert set(worst.frames.tolist()) == dark_rows(view)
    assert worst.production_share == pytest.approx(6 / 42)
    assert worst.loss_inside > 0.9 > 0.2 > worst.loss_elsewhere
    said = coverage_view.lines(view)
    assert said[0] == "42 production frames against 24 training frames"
    assert said[1] == coverage_view.SUSPECTED, "the six lie on one camera-day"
    assert "14.3 % of production" in said[2]


def test_the_index_alone_finds_the_planted_gap(unnamed: FakeParts) -> None:
    view = coverage_view.build(unnamed, quiet)
    (gap,) = view.gaps
    assert gap.kind == "region"
    assert set(gap.frames.tolist()) == dark_rows(view)


def test_an_index_of_constants_finds_nothing(unnamed: FakeParts, monkeypatch: pytest.MonkeyPatch) -> None:
    ids = coverage_view.build(unnamed, quiet).training.seq

    def constant(self: VectorStore, queries: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        answer = np.append(np.sort(ids), np.full(k, -1))[:k]
        return np.full((len(queries), k), 0.5, np.float32), np.tile(answer, (len(queries), 1))

    monkeypatch.setattr(VectorStore, "search", constant)
    forget_neighbors(unnamed)
    view = coverage_view.build(unnamed, quiet)
    assert not [gap for gap in view.gaps if set(gap.frames.tolist()) == dark_rows(view)]


def test_a_deleted_or_damaged_index_is_made_anew(unnamed: FakeParts) -> None:
    first = coverage_view.build(unnamed, quiet)
    path = unnamed.project.indexes / "training.faiss"
    path.unlink()
    forget_neighbors(unnamed)
    second = coverage_view.build(unnamed, quiet)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0xFF
    path.write_bytes(bytes(data))
    forget_neighbors(unnamed)
    third = coverage_view.build(unnamed, quiet)
    for view in (second, third):
        np.testing.assert_array_equal(view.novelty.ratio, first.novelty.ratio)
    np.testing.assert_array_equal(VectorStore.load(path).ids, np.sort(first.training.seq))


def test_the_index_follows_the_training_set(unnamed: FakeParts, monkeypatch: pytest.MonkeyPatch) -> None:
    coverage_view.build(unnamed, quiet)
    monkeypatch.setattr(indexing, "_trained", lambda *_: pytest.fail("made anew"))
    label_everything(unnamed.project, "train")
    view = coverage_view.build(unnamed, quiet)
    assert len(view.training) == 24 + 42
    assert len(VectorStore.load(unnamed.project.indexes / "training.faiss")) == 66
    assert not view.gaps


def label_everything(project: Project, purpose: str) -> None:
    from db.engine import write
    from db.frames import frames
    from db.labels import set_label
    from db.states import Origin

    with write(project.engine) as session:
        for row in frames(session, origin=Origin.PRODUCTION):
            set_label(session, row.seq, [], purpose, "annotation")


def test_labels_for_evaluation_are_no_training_set(analyzed: FakeParts) -> None:
    label_everything(analyzed.project, "evaluation")
    assert len(coverage_view.build(analyzed, quiet).training) == 24


def test_prompts_name_the_gap_too(analyzed: FakeParts) -> None:
    view = coverage_view.build(with_settings(analyzed, metadata=False, measured=False, prompts=True), quiet)
    named = [gap for gap in view.gaps if gap.name == "time of day: night"]
    assert [set(gap.frames.tolist()) for gap in named] == [dark_rows(view)]


def test_what_is_not_analyzed_yet_is_said_with_the_next_command(parts: FakeParts) -> None:
    with pytest.raises(
        ProjectError, match=r"expected training frames .* found none; run `fieldloop analyze` first"
    ):
        coverage_view.build(parts, quiet)
    analyze(parts, quiet)
    with pytest.raises(
        ProjectError, match=r"expected production frames .*, found none; run `fieldloop ingest, then analyze`"
    ):
        coverage_view.build(parts, quiet)


def test_frames_without_detections_or_vectors_are_left_out(parts: FakeParts) -> None:
    ingest(parts, quiet)
    analyze(parts, quiet)
    incoming = parts.project.root.parent / "incoming" / "cam0"
    (incoming / "new.jpg").write_bytes(picture(seed=900))
    ingest(parts, quiet)
    assert len(coverage_view.build(parts, quiet).production) == 42


def test_a_part_of_production_says_that_it_is_one(analyzed: FakeParts, folder: Path) -> None:
    whole = coverage_view.build(analyzed, quiet)
    assert whole.note == coverage_view.as_json(whole)["note"] == ""
    write_frames(folder / "incoming", bright=6, dark=0, first=500)
    ingest(analyzed, quiet)
    view = coverage_view.build(analyzed, quiet)
    note = "42 of 48 production frames are analyzed by the current models; run `fieldloop analyze`"
    assert coverage_view.lines(view)[1] == note
    tree = coverage_view.as_json(view)
    assert (tree["note"], tree["production_frames_to_analyze"]) == (note, 6)
    assert note in render(analyzed.project, view)


def test_right_after_a_promotion_it_is_said_what_is_lacking(analyzed: FakeParts) -> None:
    deploy.promote(analyzed.project, add_checkpoint(analyzed.project, weights(note="better")), "by hand")
    with pytest.raises(
        ProjectError,
        match=(
            "expected production frames analyzed by the current models, found 0 of 42; run `fieldloop"
            " analyze`"
        ),
    ):
        coverage_view.build(analyzed, quiet)


def test_one_training_frame_is_enough(tmp_path: Path) -> None:
    project = make_project(tmp_path / "project", train=1, val=0)
    write_frames(tmp_path / "incoming", bright=3, dark=1)
    parts = FakeParts(project)
    ingest(parts, quiet)
    analyze(parts, quiet)
    view = coverage_view.build(parts, quiet)
    assert np.isfinite(view.novelty.ratio).all()
    assert (len(view.production), len(view.training)) == (4, 1)


def test_of_frames_unlike_all_that_the_embedder_knows_no_prompt_is_claimed(analyzed: FakeParts) -> None:
    parts = with_settings(analyzed, metadata=False, measured=False, prompts=True)
    first = coverage_view.build(parts, quiet)
    (before,), (region,) = first.gaps, first.regions
    number = first.slice_ids[region.key]
    assert (before.kind, before.also) == ("prompt", (f"region {number} (like night)",))
    parts.clip.blind_below = 100
    shutil.rmtree(parts.project.indexes / f"unlike-{first.embedder}")
    view = coverage_view.build(parts, quiet)
    (gap,) = view.gaps
    assert (gap.kind, gap.name) == (
        "region",
        f"region {number}",
    ), "the index still finds it, but calls it after no prompt"
    assert set(gap.frames.tolist()) == dark_rows(view) == set(np.flatnonzero(view.production.unlike).tolist())
    assert view.note.startswith(
        "14% of production frames are unlike anything that this CLIP was trained on: conditions by prompts"
        " say nothing about them; take real CLIP (embedder.model ViT-B-32 with"
    )
    doubted = replace(view.production, doubted=np.ones(len(view.production.cameras), dtype=bool))
    assert (
        "nothing about them, and what they say of the other frames of the same cameras is too doubtful to be"
        " used (100% in all); take real CLIP"
    ) in replace(view, production=doubted).note
    prompted = [facet for facet in view.facets if facet.kind == "prompt"]
    assert prompted
    for facet in prompted:
        assert set(np.flatnonzero(facet.production == UNKNOWN).tolist()) == set(
            np.flatnonzero(view.production.doubtful).tolist()
        ), "a doubtful name is not given, so that it can neither judge nor block"
    assert coverage_view.lines(view)[1] == view.note
    assert coverage_view.as_json(view)["production_frames_unlike"] == 6


def test_nothing_is_said_of_unlike_frames_where_few_are_or_no_prompt_asks(analyzed: FakeParts) -> None:
    assert coverage_view.build(with_settings(analyzed, prompts=True), quiet).note == ""
    silent = with_settings(analyzed, prompts=False)
    silent.clip.blind_below = 100
    assert coverage_view.build(silent, quiet).note == ""


OFF = {"prompts": False, "metadata": False, "measured": False, "regions": False}


def test_nothing_compared_is_not_told_as_no_gap(analyzed: FakeParts) -> None:
    view = coverage_view.build(with_settings(analyzed, **OFF), quiet)
    assert (
        coverage_view.lines(view)[1]
        == "nothing was compared but the classes: gaps.prompts, gaps.metadata, gaps.measured, gaps.regions"
        " are all off; set one of them to true"
    )
    assert coverage_view.as_json(view)["compared"] == []


def test_no_gap_names_what_was_compared(analyzed: FakeParts) -> None:
    settings = with_settings(analyzed, **OFF | {"metadata": True})
    view = replace(coverage_view.build(settings, quiet), gaps=[])
    assert coverage_view.lines(view)[1].endswith("in every condition that was compared (metadata)")
    assert coverage_view.as_json(view)["compared"] == ["metadata"]


def test_a_gap_of_one_camera_day_has_no_interval(analyzed: FakeParts) -> None:
    view = coverage_view.build(analyzed, quiet)
    alone = replace(view, gaps=[replace(view.gaps[0], groups=1, interval=None)])
    assert "(1 camera-day: too few to tell how common it is)" in coverage_view.lines(alone)[2]
    many = replace(view, gaps=[replace(view.gaps[0], groups=9, interval=(0.02, 0.3))])
    assert "(95 % interval 2.0% to 30.0%, 9 camera-days)" in coverage_view.lines(many)[2]
    undated = replace(view.production, captured_at=np.full(len(view.production), np.nan))
    assert ", 9 undated groups)" in coverage_view.lines(replace(many, production=undated))[2]


def test_what_is_shown_comes_before_what_is_suspected(analyzed: FakeParts) -> None:
    view = coverage_view.build(with_settings(analyzed, measured=False), quiet)
    assert len(view.gaps) == 1
    sure, unsure = (
        replace(view.gaps[0], name=name, shown=shown) for name, shown in (("a", True), ("b", False))
    )
    both = replace(view, gaps=[sure, unsure])
    said = coverage_view.lines(both)
    assert [said[1], said[3]] == [coverage_view.SHOWN, coverage_view.SUSPECTED]
    assert (said[2].startswith(" 1  "), said[4].startswith(" 2  ")) == (True, True)
    page = render(analyzed.project, both)
    assert page.index("<h2>Shown</h2>") < page.index("<h2>Suspected</h2>")
    assert "1 condition that production shows and the training set lacks" in page
    assert "No gap is shown; 1 is suspected" in render(analyzed.project, replace(view, gaps=[unsure]))
    assert [gap["shown"] for gap in coverage_view.as_json(both)["gaps"]] == [True, False]


def test_the_view_as_json_is_json(analyzed: FakeParts) -> None:
    view = coverage_view.build(with_settings(analyzed, measured=False), quiet)
    tree = json.loads(json.dumps(plain(coverage_view.as_json(view)), allow_nan=False))
    assert tree["production_frames"] == 42
    assert len(tree["gaps"][0]["examples"]) == 6
    assert all((analyzed.project.store / path).is_file() for path in tree["gaps"][0]["examples"])


def test_page_and_json_say_of_how_much_of_the_training_set_a_condition_is_known(analyzed: FakeParts) -> None:
    view = coverage_view.build(with_settings(analyzed, measured=False), quiet)
    few = replace(view, gaps=[replace(view.gaps[0], training_known=0.045)])
    told = "known of 4.5 % of the training set"
    assert told in render(analyzed.project, few)
    assert told not in render(analyzed.project, replace(few, gaps=[view.gaps[0]]))
    assert coverage_view.as_json(few)["gaps"][0]["training_known"] == 0.045


def test_two_views_of_one_state_are_the_same(analyzed: FakeParts) -> None:
    first, second = (coverage_view.as_json(coverage_view.build(analyzed, quiet)) for _ in range(2))
    assert first == second
    reopened = FakeParts(open_project(analyzed.project.root))
    assert coverage_view.as_json(coverage_view.build(reopened, quiet)) == first
    reopened.project.engine.dispose()
