"""Sets of frames, compared with a look at every row of the database."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from sqlalchemy import delete

from connectors.ports import Box, Purpose
from db.analysis import load_detections, load_embeddings
from db.engine import read, write
from db.frames import FrameRow, NewFrame, add_frame, frames, group_id
from db.labels import labels, set_label
from db.slice_members import Members, add_members, members, record_members
from db.slices import slices
from db.states import Origin, Role, SliceKind, TaskStatus
from db.tables import Fact
from db.tasks import tasks
from loop.analysis.producers import producers
from loop.base.errors import ConfigError, ProjectError
from loop.gaps import coverage_view
from loop.gaps.shown import producer_of
from loop.insights.frame_days import local_days, seconds_of
from loop.insights.frame_query import FrameQuery
from loop.insights.frames import FrameSet, FrameSets, frame_sets
from loop.insights.model_errors import errors_of
from tests.fakes import CLASSES, FakeParts, quiet

Meets = Callable[[FrameRow], bool]


def stored(parts: FakeParts) -> list[FrameRow]:
    with read(parts.project.engine) as session:
        return frames(session)


def found(parts: FakeParts, address: str) -> FrameSet:
    return frame_sets(parts).find(FrameQuery.parse(address))


def ids(parts: FakeParts, address: str) -> list[int]:
    return frame_sets(parts).ids(found(parts, address)).tolist()


def assert_set(parts: FakeParts, address: str, meets: Meets) -> None:
    expected = {row.seq for row in stored(parts) if meets(row)}
    assert set(ids(parts, address)) == expected, address
    assert found(parts, address).count == len(expected)


def test_where_when_and_whence(chosen: FakeParts) -> None:
    rows = stored(chosen)
    camera = next(row.camera for row in rows if row.origin == Origin.PRODUCTION)
    day = min(row.captured_at for row in rows if row.captured_at).date()
    assert_set(chosen, "", lambda row: True)
    assert_set(chosen, f"camera={camera}", lambda row: row.camera == camera)
    assert_set(chosen, f"camera={camera}&camera=nowhere", lambda row: row.camera == camera)
    assert_set(chosen, "camera=nowhere", lambda row: False)
    assert_set(chosen, f"site={rows[0].site}", lambda row: row.site == rows[0].site)
    assert_set(chosen, "origin=imported", lambda row: row.origin == Origin.IMPORTED)
    assert_set(chosen, "role=evaluation", lambda row: row.role == Role.EVALUATION)
    assert_set(chosen, f"to={day}", lambda row: bool(row.captured_at and row.captured_at.date() <= day))
    assert_set(
        chosen,
        f"from={day + timedelta(days=1)}",
        lambda row: bool(row.captured_at and row.captured_at.date() > day),
    )
    assert_set(chosen, "time=unknown", lambda row: row.captured_at is None)
    assert_set(chosen, "time=known", lambda row: row.captured_at is not None)


def test_tasks_and_labels(chosen: FakeParts) -> None:
    with read(chosen.project.engine) as session:
        by_frame = {task.frame: task for task in tasks(session)}
        labeled = set(labels(session))
    assert_set(chosen, "task=queued", lambda row: row.seq in by_frame)
    assert_set(chosen, "task=pending", lambda row: row.seq in by_frame)
    assert_set(chosen, "task=done", lambda row: False)
    assert_set(chosen, "task=none", lambda row: row.seq not in by_frame)
    assert_set(chosen, "task=none&task=queued", lambda row: True)
    assert_set(chosen, "batch=1", lambda row: row.seq in by_frame)
    assert_set(chosen, "batch=2", lambda row: False)
    assert_set(chosen, "batch=1&task=skipped", lambda row: False)
    assert_set(chosen, "labeled=yes", lambda row: row.seq in labeled)
    assert_set(chosen, "labeled=no&origin=production", lambda row: row.origin == Origin.PRODUCTION)
    order = ids(chosen, "task=queued&order=worth")
    assert order == sorted(by_frame, key=lambda seq: -by_frame[seq].priority)


def test_slices_and_classes(view: object, parts: FakeParts) -> None:
    made = producers(parts)
    with read(parts.project.engine) as session:
        rows = [row for row in slices(session) if row.kind is not SliceKind.FACET]
        shown = {
            row.id: set(members(session, producer_of(row.kind, made), row.id)[0].tolist()) for row in rows
        }
        labeled = labels(session)
    suspected = {row.key: shown[row.id] for row in rows if row.kind is SliceKind.CLASS}
    assert any(shown.values())
    for number, inside in shown.items():
        assert_set(parts, f"slice={number}", lambda row, inside=inside: row.seq in inside)
        assert_set(parts, f"not_slice={number}", lambda row, inside=inside: row.seq not in inside)
    one, other = sorted(shown, key=lambda number: -len(shown[number]))[:2]
    assert_set(parts, f"slice={one}&slice={other}", lambda row: row.seq in shown[one] & shown[other])
    for name in CLASSES:

        def has(row: FrameRow, name: str = name) -> bool:
            if row.seq in labeled:
                return any(box.class_name == name for box in labeled[row.seq].boxes)
            return row.seq in suspected[f"class/{name}"]

        assert_set(parts, f"class={name}", has)
        assert_set(parts, f"not_class={name}", lambda row, has=has: not has(row))


def test_the_clearest_come_first_and_say_how_clear(view: object, parts: FakeParts) -> None:
    made = producers(parts)
    with read(parts.project.engine) as session:
        rows = slices(session, [SliceKind.MEASURED, SliceKind.PROMPT])
        shown = {row.id: members(session, producer_of(row.kind, made), row.id) for row in rows}
    number, (seqs, strength) = max(shown.items(), key=lambda item: len(item[1][0]))
    assert len(seqs) > 3
    sets = frame_sets(parts)
    page = sets.page(sets.find(FrameQuery.parse(f"slice={number}&order=clearest")))
    values = [place.value for place in page.places]
    assert values == sorted(values, key=lambda value: -(value or 0))
    known = dict(zip(seqs.tolist(), strength.tolist(), strict=True))
    assert {place.seq: place.value for place in page.places} == pytest.approx(known)


@pytest.mark.parametrize("order", ["newest", "oldest", "worth"])
def test_pages_hold_each_frame_once_and_lead_back(chosen: FakeParts, order: str) -> None:
    sets = frame_sets(chosen)
    group = sets.find(FrameQuery.parse(f"order={order}"))
    pages, after = [], ""
    while True:
        pages.append(sets.page(group, after=after, size=7))
        if pages[-1].after is None:
            break
        after = pages[-1].after
    seqs = [place.seq for page in pages for place in page.places]
    assert sorted(seqs) == sorted(row.seq for row in stored(chosen))
    assert seqs == sets.ids(group).tolist()
    assert pages[0].before is None
    assert sets.page(group, before=pages[1].before or "", size=7).places == pages[0].places
    assert sets.page(group, before=pages[-1].before or "", size=7).places == pages[-2].places
    assert sets.neighbors(group, seqs[9]) == (seqs[8], seqs[10])
    assert sets.neighbors(group, seqs[0]) == (None, seqs[1])
    assert sets.neighbors(group, seqs[-1]) == (seqs[-2], None)
    times = {row.seq: row.captured_at for row in stored(chosen)}
    if order != "worth":
        dated = [times[seq] for seq in seqs if times[seq] is not None]
        assert dated == sorted(dated, reverse=order == "newest")
        assert all(times[seq] is None for seq in seqs[len(dated) :])


@pytest.mark.parametrize("cursor", ["x", "_3", "0x1p+3_", "nan_3", "0x1p+3_-4", "0x1p+3_" + "9" * 40])
def test_what_is_no_cursor_is_refused(chosen: FakeParts, cursor: str) -> None:
    sets = frame_sets(chosen)
    with pytest.raises(ConfigError, match="expected a cursor"):
        sets.page(sets.find(FrameQuery()), after=cursor)
    with pytest.raises(ConfigError, match="1 to 500"):
        sets.page(sets.find(FrameQuery()), size=0)


@pytest.mark.parametrize("by", ["camera", "site", "day", "class", "slice", "task", "origin", "error"])
def test_each_bar_of_a_distribution_is_a_set_of_its_size(chosen: FakeParts, by: str) -> None:
    coverage_view.build(chosen, quiet)
    sets = frame_sets(chosen)
    for address in ("", "origin=production&task=queued"):
        group = sets.find(FrameQuery.parse(address))
        told = sets.distribution(group, by, most=1000)
        assert told.bars or (by == "error" and told.unknown)
        for bar in (*told.bars, *([told.unknown] if told.unknown else [])):
            assert sets.find(bar.query).count == bar.count, bar
        if by in ("camera", "site", "day", "origin"):
            assert (
                sum(bar.count for bar in told.bars) + (told.unknown.count if told.unknown else 0)
                == group.count
            )
    with pytest.raises(ConfigError, match="expected one of camera"):
        sets.distribution(sets.find(FrameQuery()), "moon")


def test_what_comes_in_is_found_at_once(chosen: FakeParts) -> None:
    sets = frame_sets(chosen)
    before = sets.find(FrameQuery()).count
    with write(chosen.project.engine) as session:
        group = group_id(session, "new|2026-05-01", Role.POOL)
        when = datetime(2026, 5, 1, 8, tzinfo=UTC)
        seq = add_frame(
            session,
            NewFrame(
                "f" * 64, "p", Origin.PRODUCTION, group, "new", "s", 3, 2, 1, "new.jpg", captured_at=when
            ),
        )
        assert seq is not None
        made = producers(chosen).measure
        target = next(row.id for row in slices(session) if row.kind is SliceKind.METADATA)
        add_members(session, made, target, Members(np.array([seq]), np.array([1.0])))
    assert sets.find(FrameQuery()).count == before + 1
    assert ids(chosen, "camera=new") == [seq]
    assert seq in ids(chosen, f"slice={target}")
    with write(chosen.project.engine) as session:
        record_members(session, made, target, Members(np.zeros(0, np.int64), np.zeros(0)))
        set_label(session, seq, [Box("helmet", (0, 0, 1, 1))], Purpose.TRAIN, "annotation")
    assert ids(chosen, f"slice={target}") == []
    assert seq in ids(chosen, "class=helmet&labeled=yes")
    assert FrameSets(chosen).find(FrameQuery()).count == before + 1


@pytest.mark.parametrize("order", ["newest", "oldest"])
def test_pages_lose_and_repeat_nothing_while_frames_come_and_go(chosen: FakeParts, order: str) -> None:
    query = FrameQuery.parse(f"labeled=no&order={order}")
    before = ids(chosen, query.address())
    gone, seen, after = set(), [], ""
    for turn in range(99):
        page = frame_sets(chosen).page(frame_sets(chosen).find(query), after=after, size=5)
        seen += [place.seq for place in page.places]
        if page.after is None:
            break
        after = page.after
        with write(chosen.project.engine) as session:
            group = group_id(session, f"came-{turn}", Role.POOL)
            when = datetime(2026, 3, 1 + turn, 8, tzinfo=UTC)
            new = NewFrame(
                f"{turn:064}",
                "p",
                Origin.PRODUCTION,
                group,
                "new",
                "s",
                3,
                2,
                1,
                f"{turn}.jpg",
                captured_at=when,
            )
            assert add_frame(session, new) is not None
            leaving = {seen[-1], *(seq for seq in before if seq % 7 == turn)}
            for seq in leaving:
                set_label(session, seq, [], Purpose.TRAIN, "annotation")
            gone |= leaving
    assert len(seen) == len(set(seen))
    assert set(before) - gone <= set(seen)
    assert len(seen) > 5


def test_metadata_that_was_corrected_is_not_stale(chosen: FakeParts) -> None:
    from db.frame_columns import forget, frames_view
    from db.frames import FrameFacts, set_facts

    row = next(row for row in stored(chosen) if row.origin == Origin.PRODUCTION)
    assert row.seq not in ids(chosen, "camera=moved")
    with write(chosen.project.engine) as session:
        facts = FrameFacts(row.seq, row.group_id, "moved", row.site, row.sequence, row.captured_at)
        set_facts(session, [facts])
    forget(chosen.project.indexes, frames_view())
    assert ids(chosen, "camera=moved") == [row.seq]


def test_an_empty_project_has_empty_sets(parts: FakeParts) -> None:
    with read(parts.project.engine) as session:
        imported = {row.seq for row in frames(session)}
    assert set(ids(parts, "")) == imported
    assert ids(parts, "origin=production") == []
    sets = frame_sets(parts)
    nobody = sets.find(FrameQuery.parse("origin=production"))
    assert sets.page(nobody).places == ()
    for by in ("camera", "site", "day", "class", "slice"):
        assert sets.distribution(nobody, by).bars == ()


def test_days_are_those_of_the_zone_over_a_change_of_clocks() -> None:
    place = ZoneInfo("Europe/Rome")
    start = datetime(2026, 3, 27, tzinfo=UTC).timestamp()
    times = start + np.arange(0, 5 * 86_400, 1800, dtype=np.float64)
    expected = [datetime.fromtimestamp(t, place).date().toordinal() - 719_163 for t in times]
    assert local_days(times, "Europe/Rome").tolist() == expected
    assert (
        seconds_of("2026-03-29", "Europe/Rome", ends=True) - seconds_of("2026-03-29", "Europe/Rome") == 82_800
    )
    assert seconds_of("2026-03-29T10:00", "Europe/Rome") == datetime(2026, 3, 29, 8, tzinfo=UTC).timestamp()
    assert (
        seconds_of("2026-03-29T10:00+00:00", "Europe/Rome")
        == datetime(2026, 3, 29, 10, tzinfo=UTC).timestamp()
    )


def test_a_slice_that_is_none_is_refused(chosen: FakeParts) -> None:
    from db.errors import StateError

    with pytest.raises(StateError, match="expected the id of a slice"):
        found(chosen, "slice=999")
    assert found(chosen, f"task={TaskStatus.DONE}").count == 0


def test_frames_like_a_sentence_are_those_and_say_how_much(analyzed: FakeParts) -> None:
    sets = frame_sets(analyzed)
    night = sets.find(FrameQuery.parse("q=a+dark+yard+at+night&origin=production"))
    with read(analyzed.project.engine) as session:
        seqs, vectors = load_embeddings(session, producers(analyzed).embedder)
        production = {row.seq for row in frames(session, origin=Origin.PRODUCTION)}
    truth = vectors @ analyzed.embedder().embed_text(["a dark yard at night"])[0]
    expected = sorted(
        ((value, seq) for value, seq in zip(truth.tolist(), seqs.tolist(), strict=True) if seq in production),
        reverse=True,
    )
    places = sets.page(night, size=20).places
    assert [place.seq for place in places] == [seq for _, seq in expected[:20]]
    assert [place.value for place in places] == pytest.approx([value for value, _ in expected[:20]], abs=1e-3)
    assert night.order == "alike"


def test_a_search_holds_the_most_alike_alone(analyzed: FakeParts, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("loop.insights.frame_search.MOST", 5)
    sets = frame_sets(analyzed)
    seq = ids(analyzed, "origin=production")[0]
    near = sets.find(FrameQuery.parse(f"near={seq}&origin=production"))
    assert near.count == 5
    assert near.note == "the 5 most alike of 42"
    first = sets.page(near).places[0]
    assert (first.seq, round(first.value or 0, 2)) == (seq, 1.0)
    assert set(
        sets.ids(sets.find(FrameQuery.parse(f"near={seq}&origin=production&order=oldest"))).tolist()
    ) == set(sets.ids(near).tolist())
    assert sum(bar.count for bar in sets.distribution(near, "camera").bars) == 5


def test_what_cannot_be_looked_for_says_why(parts: FakeParts, analyzed: FakeParts) -> None:
    with pytest.raises(ConfigError, match="expected words that the embedder knows, got xyzzy"):
        found(analyzed, "q=xyzzy+gate")
    with pytest.raises(ConfigError, match="expected a frame that the embedder has seen, got 99999"):
        found(analyzed, "near=99999")


def test_vectors_are_searched_before_the_embedder_is_loaded_again(analyzed: FakeParts) -> None:
    """As in a copy of a project, whose files have other times."""
    seq = ids(analyzed, "origin=production")[0]
    before, sentence = ids(analyzed, f"near={seq}"), ids(analyzed, "q=night")
    with write(analyzed.project.engine) as session:
        session.execute(delete(Fact).where(Fact.key.startswith("embedder:")))
    sets = FrameSets(analyzed)
    assert sets.ids(sets.find(FrameQuery.parse(f"near={seq}"))).tolist() == before
    assert sets.nearest(seq, 1)
    assert sets.ids(sets.find(FrameQuery.parse("q=night"))).tolist() == sentence
    analyzed.clip.name = "another"
    with pytest.raises(ProjectError, match="expected frames seen by another, found those of fake-clip"):
        FrameSets(analyzed).find(FrameQuery.parse("q=a gate at dusk"))


def test_frames_that_the_model_errs_on(labeled: FakeParts) -> None:
    with read(labeled.project.engine) as session:
        seen = load_detections(session, producers(labeled).detector)
        truth = {seq: row for seq, row in labels(session).items() if seq in seen}
    told = {seq: errors_of(row.boxes, seen[seq], CLASSES).counts for seq, row in truth.items()}
    assert any(missed for missed, _, _ in told.values())
    for place, kind in enumerate(("missed", "false", "class")):
        expected = {seq for seq, counts in told.items() if counts[place]}
        assert set(ids(labeled, f"model_error={kind}")) == expected
    assert set(ids(labeled, "model_error=none")) == {seq for seq, counts in told.items() if not sum(counts)}
    wrong = set(ids(labeled, "model_error=missed&model_error=false&model_error=class"))
    assert wrong | set(ids(labeled, "model_error=none")) == set(truth)
    spread = frame_sets(labeled).distribution(found(labeled, ""), "error")
    assert {bar.query.address(): bar.count for bar in spread.bars} == {
        f"model_error={kind}": many
        for kind in ("missed", "false", "class", "none")
        if (many := len(ids(labeled, f"model_error={kind}")))
    }
    unknown = spread.unknown.count if spread.unknown else 0
    assert unknown == len(ids(labeled, "model_error=unknown")) == len(ids(labeled, "")) - len(truth)
    seq = ids(labeled, "model_error=none")[0]
    with write(labeled.project.engine) as session:
        set_label(session, seq, [Box("person", (0, 0, 3, 3)), *truth[seq].boxes], Purpose.TRAIN, "annotation")
    assert seq in ids(labeled, "model_error=missed&model=1")
    assert FrameSets(labeled).find(FrameQuery.parse("model_error=missed")).count == len(
        ids(labeled, "model_error=missed")
    )


def test_a_slice_that_the_present_models_have_not_looked_for_is_told_as_not_known(
    analyzed: FakeParts, monkeypatch: pytest.MonkeyPatch
) -> None:
    coverage_view.build(analyzed, quiet)
    with read(analyzed.project.engine) as session:
        row = slices(session, [SliceKind.CLASS])[0]
    query = FrameQuery(slice=(row.id,))
    assert frame_sets(analyzed).find(query).note == ""
    monkeypatch.setattr("loop.insights.frame_facts.known_detector", lambda *_: None)
    told = FrameSets(analyzed).find(query)
    assert told.note == f"which frames show {row.name} is not known until frames are analyzed"


def test_errors_of_a_model_that_saw_nothing_are_refused(parts: FakeParts) -> None:
    with pytest.raises(ConfigError, match="expected a model that has seen frames, got the deployed model"):
        found(parts, "model_error=missed")
