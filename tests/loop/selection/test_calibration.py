"""What labels teach about choosing: trust, calibration, cost; and what a batch is said to buy."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from connectors.ports import Detections, Purpose
from db.engine import read, write
from db.labels import labels, set_label
from db.states import TaskStatus
from db.tasks import move, tasks
from loop.analysis import held_out_groups
from loop.base.errors import ConfigError
from loop.gaps.coverage_view import CoverageView
from loop.math.boxes.drawn import DRAWN_ABOVE
from loop.math.boxes.matching import ImageMatch, Truth, match
from loop.math.coverage.frame_slices import NO_SLICE, frame_slices_of
from loop.selection import calibration as learning
from loop.selection import explanation
from loop.selection.batch_cost import fitted_cost
from loop.selection.calibration import (
    MatchedFrames,
    calibrated,
    out_of_fold,
    trust,
    trust_in_gaps,
)
from loop.selection.exclusions import Rules
from loop.selection.explanation import Batch
from loop.selection.sampler_pool import Calibrated, Cost, pool_of, queued_of, wanted_of
from loop.selection.search_queries import query_vectors
from loop.selection.select import Request, select, select_from
from loop.web.pages import selection
from tests.fakes import FakeEmbedder, FakeParts, quiet

CORNER = [0.0, 0.0, 10.0, 10.0]


def held_out(frames: int, seed: int = 0, honest: bool = True, production: bool = True) -> MatchedFrames:
    """Frames with one object each, found with a confidence that says how often it is one, or says
    nothing.
    """
    rng = np.random.default_rng(seed)
    matches: list[ImageMatch] = []
    for _ in range(frames):
        confidence = rng.random()
        matches.append(one_box(confidence, rng.random() < (confidence if honest else 0.5)))
    nothing, ordinary = np.zeros(frames), np.full(frames, NO_SLICE)
    given = np.full(frames, production), ordinary, np.ones(frames)
    return MatchedFrames(matches, np.arange(frames) // 4, nothing, *given)


def one_box(confidence: float, there: bool) -> ImageMatch:
    """One object, and one box that is on it or elsewhere."""
    truth = Truth(np.array([CORNER if there else [50.0, 50.0, 60.0, 60.0]]), np.zeros(1, dtype=np.int64))
    found = Detections(np.array([CORNER]), np.array([confidence]), np.zeros(1, dtype=np.int64))
    return match(truth, found, [0.5])


def test_expected_loss_of_an_honest_detector_is_trusted_and_of_another_is_not() -> None:
    assert trust(held_out(400), 0) > 0.6
    assert trust(held_out(400, honest=False), 0) < 0.4


def test_few_frames_teach_nothing_and_production_teaches_first() -> None:
    assert trust(held_out(39), 0) == 0
    imported, few = held_out(400, production=False), held_out(30, 1, honest=False)
    both = MatchedFrames(
        [*imported.matches, *few.matches],
        np.concatenate([imported.group, 1000 + few.group]),
        np.zeros(430),
        np.concatenate([imported.production, few.production]),
        np.full(430, NO_SLICE),
        np.ones(430),
    )
    assert trust(both, 0) > 0.6, "by the imported ones while there are 30 of production"
    many = held_out(200, 1, honest=False)
    both = MatchedFrames(
        [*imported.matches, *many.matches],
        np.concatenate([imported.group, 1000 + many.group]),
        np.zeros(600),
        np.concatenate([imported.production, many.production]),
        np.full(600, NO_SLICE),
        np.ones(600),
    )
    assert trust(both, 0) < 0.4, "by production alone, where what the detector expects means nothing"


def test_what_only_tells_gaps_from_ordinary_frames_is_not_trusted() -> None:
    """The detector is rarely right in the gap, and unsure of all there; elsewhere it is as sure of
    what is wrong as of what is right.
    """
    rng, gap = np.random.default_rng(0), np.arange(400) % 2 == 1
    sure = np.where(gap, 0.3, 0.9)
    matches = [one_box(confidence, rng.random() < confidence) for confidence in sure.tolist()]
    mixed = replace(held_out(400), matches=matches)
    apart = np.where(gap, 0, NO_SLICE)
    assert trust(mixed, 0) > 0.5, "as if all frames were ordinary"
    assert trust(replace(mixed, slice=apart), 0) == 0
    assert trust_in_gaps(replace(mixed, slice=apart), 0) == 0
    assert trust(replace(held_out(400), slice=apart), 0) > 0.5
    assert trust_in_gaps(replace(held_out(400), slice=apart), 0) > 0.5
    assert trust_in_gaps(held_out(400), 0) == 0, "no frame shows a gap"


def test_a_frame_that_was_drawn_rarely_counts_for_many() -> None:
    """One half of the frames is honest, and drawn nine times as often as the other."""
    one, other = held_out(200), held_out(200, 1, honest=False)
    both = MatchedFrames(
        [*one.matches, *other.matches],
        np.concatenate([one.group, 1000 + other.group]),
        np.zeros(400),
        np.ones(400, dtype=bool),
        np.full(400, NO_SLICE),
        np.ones(400),
    )
    rare = replace(both, weight=np.repeat([1.0, 9.0], 200))
    assert trust(rare, 0) < trust(both, 0) < trust(replace(both, weight=rare.weight[::-1]), 0)


def test_expected_loss_is_calibrated_on_other_groups() -> None:
    """A group whose every box is wrong says nothing of itself: what is expected of it comes from
    the groups that are right.
    """
    held = held_out(400)
    own = np.flatnonzero(held.group == 7)
    wrong = [replace(each, hit=np.zeros_like(each.hit)) for each in held.matches]
    spoiled = [wrong[row] if row in own else each for row, each in enumerate(held.matches)]
    before, after = out_of_fold(held), out_of_fold(replace(held, matches=spoiled))
    np.testing.assert_allclose(after[own], before[own])


def test_seconds_are_fitted_to_answers_that_were_timed() -> None:
    rng = np.random.default_rng(0)
    boxes = rng.integers(0, 12, 80).astype(float)
    seconds = 8 + 5 * boxes + rng.normal(0, 1, 80)
    cost = fitted_cost(boxes, seconds)
    assert cost.known
    assert (cost.frame, cost.box) == pytest.approx((8, 5), abs=0.6)
    left_open = seconds.copy()
    left_open[::5] = 40_000
    assert fitted_cost(boxes, left_open).box == pytest.approx(5, abs=0.6), "a browser that was left open"
    assert fitted_cost(boxes[:29], seconds[:29]) == Cost()
    assert fitted_cost(np.zeros(0), np.zeros(0)) == Cost()


def rules(view: CoverageView, engaged: int = 0) -> Rules:
    rows = np.arange(len(view.production))
    return Rules("hybrid", in_pool(view), rows < engaged, rows, view.production.sequence, 3)


def in_pool(view: CoverageView) -> np.ndarray:
    return np.array([row.role == "pool" for row in view.frames])


def test_what_is_queued_is_no_longer_wanted(view: CoverageView) -> None:
    assert len(view.gaps)
    code = view.frame_slices.code
    pool_first = in_pool(view)
    first_gap = int(code[pool_first & (code >= 0)][0])
    before = wanted_of(view, rules(view))
    queued = pool_first & (code == first_gap)
    after = wanted_of(view, replace(rules(view), engaged=queued))
    assert before[first_gap] >= 30 - len(view.training)
    assert after[first_gap] == max(before[first_gap] - queued.sum(), 0)
    for other, gap in enumerate(view.gaps):
        shown = np.isin(np.flatnonzero(queued), gap.frames).sum()
        assert after[other] == max(before[other] - shown, 0), "a frame counts for each gap that it shows"


def test_wanted_is_counted_among_the_labeled_frames_of_which_it_is_known(
    view: CoverageView, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("loop.math.coverage.gaps.ENOUGH", 0)
    size = len(view.training)
    known = replace(view.gaps[0], production_share=0.5, training_share=0.25, training_known=1.0)
    half = replace(known, training_known=0.5)
    wanted = wanted_of(replace(view, gaps=[known, half]), rules(view))
    assert list(wanted) == [math.ceil(0.25 * size), math.ceil(0.125 * size)]


def test_until_answers_were_timed_all_frames_cost_the_same(view: CoverageView) -> None:
    rows = np.arange(len(view.production))
    assert np.ptp(pool_of(view, rows, rules(view), Calibrated()).seconds) == 0
    timed = pool_of(view, rows, rules(view), Calibrated(cost=Cost(5, 10, known=True)))
    expected = [5 + 10 * (each.confidence >= DRAWN_ABOVE).sum() for each in view.detections]
    np.testing.assert_allclose(timed.seconds, expected, rtol=1e-5)


def test_a_project_learns_from_its_own_held_out_frames(parts: FakeParts, view: CoverageView) -> None:
    """Eight validation frames of the imported dataset are too few to trust anything by."""
    taught = calibrated(parts.project, view)
    assert taught.trust == 0
    assert not taught.cost.known


def test_trust_counts_imported_images_by_what_they_show(
    parts: FakeParts, view: CoverageView, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the judge does: eight images of which nothing tells the place are three groups."""
    held: list[MatchedFrames] = []
    monkeypatch.setattr(learning, "trust", lambda each, seed: held.append(each) or 0.0)
    for alike in (lambda row: row.seq, lambda row: 0):
        monkeypatch.setattr(
            held_out_groups, "leak_groups", lambda *given, of=alike: {row.seq: of(row) for row in given[2]}
        )
        calibrated(parts.project, view)
    assert [len(np.unique(each.group)) for each in held] == [3, 1]


def test_frames_that_judge_count_as_the_judge_counts_them(parts: FakeParts, view: CoverageView) -> None:
    """Those that show the gap were drawn more often, so each of them is fewer frames."""
    select_from(parts.project, view, Request(12, "hybrid"))
    with write(parts.project.engine) as session:
        waiting = [task for task in tasks(session) if task.purpose == Purpose.EVALUATION]
        move(session, [task.id for task in waiting], TaskStatus.PENDING, TaskStatus.DONE)
        for task in waiting:
            set_label(session, task.frame, [], Purpose.EVALUATION, "annotation")
    held = learning._held_out(parts.project, view)
    expected = {task.frame: 1 / (task.inclusion_probability or 1.0) for task in waiting}
    with read(parts.project.engine) as session:
        seqs = sorted(labels(session, purpose=Purpose.EVALUATION))
    assert waiting
    assert held.weight.tolist() == pytest.approx([expected.get(seq, 1.0) for seq in seqs])
    place = {seq: row for row, seq in enumerate(view.production.seq.tolist())}
    code = [view.frame_slices.code[place[seq]] if seq in place else NO_SLICE for seq in seqs]
    assert held.slice.tolist() == code
    assert held.production.tolist() == [seq in place for seq in seqs]


def test_an_explained_batch_says_what_it_buys(parts: FakeParts, view: CoverageView) -> None:
    report = select_from(parts.project, view, Request(12, "hybrid", dry_run=True, explain=True))
    of = report.explanation
    assert of is not None
    assert of.coverage_before < of.coverage_after <= 1
    assert sum(of.components.values()) == sum(item.purpose == "train" for item in report.chosen) == 9
    assert set(of.nearest) == {item.frame for item in report.chosen if item.purpose == "train"}
    training = set(view.training.seq.tolist())
    assert all(near.frame in training and -1 <= near.similarity <= 1.001 for near in of.nearest.values())
    assert [each.name for each in of.conditions] == [gap.name for gap in view.gaps]
    places = {seq: place for place, seq in enumerate(view.production.seq.tolist())}
    found = [view.detections[places[item.frame]] for item in report.chosen]
    assert of.cost.boxes == sum((each.confidence >= DRAWN_ABOVE).sum() for each in found)
    hours = (12 * 10 + 7 * of.cost.boxes) / 3600
    assert of.cost.hours == pytest.approx(hours), "frames that judge are labeled too"
    said = "\n".join(explanation.lines(of))
    for word in ("covers", "hours of labeling", "redundant", "chosen by", "condition"):
        assert word in said
    assert all(line in report.lines() for line in explanation.lines(of))
    assert select_from(parts.project, view, Request(12, "hybrid", dry_run=True)).explanation is None


def test_boxes_are_shared_out_by_their_class_scores_where_these_are_known(
    parts: FakeParts, view: CoverageView
) -> None:
    request = Request(12, "hybrid", dry_run=True, explain=True)
    classes = len(view.classes)
    half = view.boxes.confidence.with_values(
        np.full((len(view.boxes.confidence.values), classes), 0.5, np.float32)
    )
    scored, unscored = replace(view.boxes, class_scores=half), replace(view.boxes, class_scores=None)
    even = select_from(parts.project, replace(view, boxes=scored), request).explanation
    plain = select_from(parts.project, replace(view, boxes=unscored), request).explanation
    assert even is not None
    assert plain is not None
    assert np.ptp([each.boxes for each in even.classes]) == pytest.approx(0, abs=1e-6)
    assert len(plain.classes) == classes
    assert 0 < sum(each.boxes for each in plain.classes) < plain.cost.boxes


def test_a_second_batch_counts_what_the_first_one_queued(parts: FakeParts, view: CoverageView) -> None:
    first = select_from(parts.project, view, Request(12, "hybrid", explain=True)).explanation
    second = select_from(parts.project, view, Request(12, "hybrid", explain=True)).explanation
    assert first is not None
    assert second is not None
    assert any(each.frames for each in first.conditions)
    for before, after in zip(first.conditions, second.conditions, strict=True):
        assert (before.queued, after.queued) == (0, before.frames)
        assert after.wanted == max(before.wanted - before.frames, 0)
    assert second.coverage_before == pytest.approx(first.coverage_after, abs=1e-6)


def test_what_judges_models_covers_nothing_for_what_trains(view: CoverageView) -> None:
    judges = ~in_pool(view)
    rows = np.flatnonzero(~judges)
    plain = pool_of(view, rows, rules(view), Calibrated())
    asked = pool_of(view, rows, replace(rules(view), engaged=judges), Calibrated())
    np.testing.assert_array_equal(asked.labeled, plain.labeled)
    assert not np.isin(view.production.vectors[judges], asked.labeled).all()


def test_a_frame_that_shows_several_conditions_counts_for_each(parts: FakeParts, view: CoverageView) -> None:
    broad = replace(view.gaps[0], name="everything", frames=np.arange(len(view.production)))
    gaps = [*view.gaps, broad]
    overlapping = replace(view, gaps=gaps, frame_slices=frame_slices_of(gaps, len(view.production)))
    report = select_from(parts.project, overlapping, Request(12, "hybrid", dry_run=True, explain=True))
    of = report.explanation
    assert of is not None
    places = {seq: place for place, seq in enumerate(view.production.seq.tolist())}
    train = [places[item.frame] for item in report.chosen if item.purpose == "train"]
    for gap, told in zip(overlapping.gaps, of.conditions, strict=True):
        assert told.frames == np.isin(train, gap.frames).sum()
    assert of.conditions[-1].frames == len(train) > 0
    queued = replace(rules(view), engaged=np.isin(np.arange(len(view.production)), train))
    assert queued_of(overlapping, queued)[-1] == len(train)


def test_what_a_labeler_skipped_covers_nothing(view: CoverageView) -> None:
    rows = in_pool(view)
    asked = rows & (np.cumsum(rows) <= 6)
    batch = Batch(np.flatnonzero(rows & ~asked)[:3], np.zeros(0, dtype=np.int64), ["herding"] * 3)

    def before(told: Rules) -> float:
        pool = pool_of(view, np.flatnonzero(rows), told, Calibrated())
        return explanation.explain(
            view, told, pool, batch, Calibrated(), np.random.default_rng(0)
        ).coverage_before

    queued = replace(rules(view), engaged=asked)
    skipped = replace(queued, skipped=np.flatnonzero(asked))
    assert before(skipped) == before(rules(view)) < before(queued)


def test_what_a_labeler_skipped_is_still_wanted(view: CoverageView) -> None:
    code = view.frame_slices.code
    pool_first = in_pool(view)
    first_gap = int(code[pool_first & (code >= 0)][0])
    asked = pool_first & (code == first_gap)
    none, all_skipped = rules(view), replace(rules(view), engaged=asked, skipped=np.flatnonzero(asked))
    np.testing.assert_array_equal(wanted_of(view, all_skipped), wanted_of(view, none))


def test_only_one_strategy_looks_for_something(parts: FakeParts) -> None:
    message = "--like: expected the strategy targeted, which looks for it, got entropy; leave one of them out"
    with pytest.raises(ConfigError, match=message):
        select(parts, quiet, strategy="entropy", like=["fog"], dry_run=True)


def test_the_page_shows_every_frame_with_its_reason(
    parts: FakeParts, view: CoverageView, tmp_path: Path
) -> None:
    report = select_from(parts.project, view, Request(12, "hybrid", explain=True))
    selection.write(parts.project, view, report, tmp_path / "new" / "batch.html")
    page = (tmp_path / "new" / "batch.html").read_text(encoding="utf-8")
    assert page.count('<article class="frame">') == 12
    assert page.count('alt="the labeled frame that it resembles most"') == 9
    assert "12 frames worth a label" in page
    assert "http" not in page.replace("http-equiv", ""), "one file that loads nothing"
    for item in report.chosen:
        assert item.reason.split("'")[0] in page


def test_the_page_says_of_how_many_labeled_frames_a_condition_is_not_known(
    parts: FakeParts, view: CoverageView
) -> None:
    gaps = [replace(gap, training_known=0.5) for gap in view.gaps]
    half = replace(view, gaps=gaps, frame_slices=frame_slices_of(gaps, len(view.production)))
    report = select_from(parts.project, half, Request(12, "hybrid", dry_run=True, explain=True))
    page = selection.render(parts.project, half, report)
    assert page.count(f"; of {round(0.5 * len(view.training))} labeled it is not known") == len(gaps) > 0


def test_what_is_looked_for_is_a_sentence_or_a_picture(folder: Path) -> None:
    embedder = FakeEmbedder()
    picture = next((folder / "incoming").rglob("*.jpg"))
    text, shown = query_vectors(embedder, ["a dark street", str(picture)])
    assert text.shape == shown.shape == (embedder.dim,)
    assert not np.allclose(text, shown)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (" ", "--like: expected a sentence or an image file, got nothing"),
        (
            "nowhere/frame.jpg",
            "--like: expected a sentence or an image file, found no file nowhere/frame.jpg",
        ),
        ("my photo.JPG", "--like: expected a sentence or an image file, found no file my photo.JPG"),
        ("./nowhere", "--like: expected a sentence or an image file, found no file ./nowhere"),
        ("/tmp", "--like: expected a sentence or an image file, found no file /tmp"),
    ],
)
def test_what_cannot_be_looked_for_is_told(given: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        query_vectors(FakeEmbedder(), [given])


def test_a_sentence_may_be_longer_than_the_name_of_a_file() -> None:
    (vector,) = query_vectors(FakeEmbedder(), ["a dark street " * 400])
    assert vector.shape == (FakeEmbedder().dim,)


def test_a_file_that_is_no_picture_is_told(tmp_path: Path) -> None:
    (tmp_path / "note.jpg").write_text("no picture")
    with pytest.raises(ConfigError, match=r"--like: expected an image file, got .*note\.jpg"):
        query_vectors(FakeEmbedder(), [str(tmp_path / "note.jpg")])


def test_words_nobody_taught_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FakeEmbedder, "unknown_words", lambda self, prompts: ("zebra",))
    with pytest.raises(ConfigError, match="--like: expected words that the embedder knows, got zebra"):
        query_vectors(FakeEmbedder(), ["a zebra"])


def test_looking_for_a_picture_chooses_by_it(parts: FakeParts, view: CoverageView, folder: Path) -> None:
    picture = next((folder / "incoming").rglob("*.jpg"))
    report = select(parts, quiet, budget=8, like=[str(picture)], dry_run=True)
    assert report.strategy == "targeted"
    (query,) = query_vectors(parts.embedder(), [str(picture)])
    similar = view.production.vectors[:] @ query
    best = np.flatnonzero(similar >= np.quantile(similar, 0.5))
    seqs = set(view.production.seq[best].tolist())
    train = [item.frame for item in report.chosen if item.purpose == "train"]
    assert np.mean([frame in seqs for frame in train]) > 0.8


def test_looking_for_nothing_is_told(parts: FakeParts, view: CoverageView) -> None:
    report = select_from(parts.project, view, Request(8, "targeted", dry_run=True))
    assert report.lacking[0] == "nothing to look for was given (--like): targeted chose as k_center does"
