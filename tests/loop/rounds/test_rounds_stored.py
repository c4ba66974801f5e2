"""A round over stored images that are missing or exchanged, and over a disk that is full."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest

from connectors.errors import TrainingHeld
from connectors.images import content_hash
from connectors.ports import Capture
from connectors.sources.video import VideoSource
from db.engine import read
from db.frames import FrameRow, frames, rejects
from db.labels import labels
from db.rounds import dataset, dataset_members
from db.states import RoundStatus
from loop.base.errors import RoundError, RoundHeld
from loop.project.wiring import fetch_again
from loop.rounds import rounds
from tests.fakes import FakeParts, FakeTrainer, picture, quiet
from tests.loop.judged import BETTER, run, started, with_round


def labeled_frames(parts: FakeParts, purpose: str) -> list[FrameRow]:
    with read(parts.project.engine) as session:
        known = {seq for seq, label in labels(session).items() if label.purpose == purpose}
        return [row for row in frames(session, seqs=sorted(known)) if row.split != "val"]


def stored(parts: FakeParts, row: FrameRow) -> Path:
    return parts.project.store / row.path


def source(parts: FakeParts, row: FrameRow) -> Path:
    return (parts.project.root / parts.project.settings.frames.path / row.source_key).resolve()


def exchange(path: Path) -> None:
    """Another picture of the same size, under the same name."""
    data = bytearray(path.read_bytes())
    data[-10] ^= 0xFF
    path.unlink()
    path.write_bytes(bytes(data))


def set_aside(parts: FakeParts) -> dict[str, str]:
    with read(parts.project.engine) as session:
        return {row.source_key: row.reason for row in rejects(session)}


def trained_on(parts: FakeParts) -> set[int]:
    with read(parts.project.engine) as session:
        return {member.frame for member in dataset_members(session, 1)}


def production_of(rows: list[FrameRow]) -> list[FrameRow]:
    return [row for row in rows if not Path(row.source_key).is_absolute()]


def test_what_is_lost_from_the_store_is_fetched_again_from_its_source(labeled: FakeParts) -> None:
    gone, other, *_ = production_of(labeled_frames(labeled, "train"))
    judge, *_ = production_of(labeled_frames(labeled, "evaluation"))
    stored(labeled, gone).unlink()
    exchange(stored(labeled, other))
    stored(labeled, judge).unlink()
    row = run(started(labeled))
    assert row.status is RoundStatus.PROMOTED, row.error
    for frame in (gone, other, judge):
        assert content_hash(stored(labeled, frame).read_bytes()) == frame.content_hash
        assert stored(labeled, frame).stat().st_mode & 0o777 == 0o600
    assert {gone.seq, other.seq} <= trained_on(labeled)
    assert set_aside(labeled) == {}


def test_what_its_source_has_no_more_is_left_out_and_named(labeled: FakeParts) -> None:
    gone, other, *_ = production_of(labeled_frames(labeled, "train"))
    judge, *_ = production_of(labeled_frames(labeled, "evaluation"))
    for frame in (gone, judge):
        stored(labeled, frame).unlink()
        source(labeled, frame).unlink()
    exchange(stored(labeled, other))
    source(labeled, other).write_bytes(picture(seed=77))
    row = run(started(labeled))
    assert row.status is RoundStatus.PROMOTED, row.error
    assert not {gone.seq, other.seq, judge.seq} & trained_on(labeled)
    assert row.verdict is not None
    assert judge.seq not in row.verdict["frames"]
    said = set_aside(labeled)
    assert said.keys() == {frame.source_key for frame in (gone, other, judge)}
    assert "got one that is exchanged, and its source has it no more; left out" in said[other.source_key]
    assert "got one that is missing" in said[gone.source_key]


def test_a_store_that_is_not_there_holds_the_round(labeled: FakeParts) -> None:
    away = labeled.project.root / "unmounted"
    (labeled.project.store / "frames").rename(away)
    parts = started(with_round(labeled))
    with pytest.raises(RoundHeld, match=r"expected the stored images of .* see whether the disk of"):
        rounds.run(parts, quiet)
    held = rounds.current(parts.project)
    assert held is not None
    assert held.status is RoundStatus.FREEZING
    assert not list((parts.project.store / "frames").glob("*"))
    away.rename(parts.project.store / "frames")
    assert run(parts).status is RoundStatus.PROMOTED


def test_images_lost_from_a_frozen_dataset_are_frozen_anew(labeled: FakeParts) -> None:
    parts = started(labeled)

    def lose(epoch: int) -> None:
        if epoch == 2:
            raise TrainingHeld("no room")

    parts.fake_trainer = FakeTrainer(BETTER, lose)
    with pytest.raises(RoundHeld):
        rounds.run(parts, quiet)
    with read(parts.project.engine) as session:
        out = parts.project.root / dataset(session, 1).path
    image = next((out / "images" / "train").iterdir())
    exchange(image)
    parts.fake_trainer = FakeTrainer(BETTER)
    assert run(parts).status is RoundStatus.PROMOTED
    assert content_hash(image.read_bytes()) == image.stem


def test_a_full_disk_holds_the_round_until_there_is_room(labeled: FakeParts) -> None:
    parts = started(with_round(labeled, labels=0))

    def full(epoch: int) -> None:
        raise TrainingHeld(
            "training in here: expected room on its disk, got none. The end of its log:\nOSError"
        )

    parts.fake_trainer = FakeTrainer(BETTER, full)
    for _ in range(5):
        with pytest.raises(RoundHeld, match=r"round 1 stays open while training: .*\n?.*OSError"):
            rounds.step_or_start(parts, quiet)
    row = rounds.current(parts.project)
    assert row is not None
    assert (row.status, str(row.error)[-7:]) == (RoundStatus.TRAINING, "OSError")
    parts.fake_trainer = FakeTrainer(BETTER)
    assert rounds.step_or_start(parts, quiet) == "round 1: promoted"
    assert rounds.reread(parts.project, 1).error is None


def test_a_failed_round_stays_in_sight_until_another_is_begun(labeled: FakeParts) -> None:
    from connectors.errors import TrainingFailed

    parts = started(with_round(labeled, labels=0))

    def bad(epoch: int) -> None:
        raise TrainingFailed("bad data")

    parts.fake_trainer = FakeTrainer(BETTER, bad)
    assert rounds.step_or_start(parts, quiet) == "round 1: failed (bad data)"
    for _ in range(2):
        with pytest.raises(RoundError, match="round 1 failed: bad data; mend that, then"):
            rounds.step_or_start(parts, quiet)
    parts.fake_trainer = FakeTrainer(BETTER)
    rounds.start(parts)
    assert rounds.step_or_start(parts, quiet) == "round 2: promoted"
    assert rounds.step_or_start(parts, quiet) == ""


def test_frames_of_a_video_are_fetched_again_from_it(parts: FakeParts, tmp_path: Path) -> None:
    film = tmp_path / "a film #1.mp4"
    with av.open(str(film), "w") as container:
        stream = container.add_stream("mpeg4", rate=5)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for number in range(6):
            pixels = np.full((48, 64, 3), 40 * number, np.uint8)
            for packet in stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")):
                container.mux(packet)
        for packet in stream.encode():
            container.mux(packet)
    captures = [item for item in VideoSource(film, 0.2).captures() if isinstance(item, Capture)]
    shots = {item.key: item.read() for item in captures}
    keys = sorted(shots)
    wanted = {key: content_hash(shots[key]) for key in (keys[1], keys[4])} | {keys[2]: "another"}
    assert dict(fetch_again(parts.project, wanted)) == {key: shots[key] for key in (keys[1], keys[4])}
    film.unlink()
    assert dict(fetch_again(parts.project, wanted)) == {}
