"""One picture or video never stops the others: what it needs in memory is bounded, and it is named."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image as Pil

from connectors.ports import Capture
from connectors.sources.video import VideoSource
from db.engine import read
from db.frames import FrameRow, frames, rejects
from db.states import Origin
from loop.analysis import analyze as analysis
from loop.analysis.analyze import analyze
from loop.base.files import BATCH_BYTES, chunked_by_size, decoded_bytes
from loop.ingest import ingest as ingestion
from loop.ingest.ingest import ingest
from loop.project.project import Project
from loop.web.thumbnails import TALLEST, WIDTH, thumbnail
from tests.fakes import FakeParts, quiet
from tests.loop.service.test_scheduler import set_yaml


def png(width: int, height: int, gray: int = 90) -> bytes:
    file = io.BytesIO()
    Pil.fromarray(np.full((height, width, 3), gray, np.uint8)).save(file, "PNG")
    return file.getvalue()


def production(project: Project) -> list[FrameRow]:
    with read(project.engine) as session:
        return frames(session, origin=Origin.PRODUCTION)


@pytest.mark.parametrize(
    ("width", "height", "said"),
    [
        (1, 200_000, "at most 100 times the shorter one, got 1x200000; crop it"),
        (200_000, 1, "at most 100 times the shorter one, got 200000x1; crop it"),
        (20, 2001, "at most 100 times the shorter one, got 20x2001; crop it"),
        (9, 9, "at least 10 px a side, got 9x9"),
    ],
)
def test_a_picture_of_an_odd_shape_is_set_aside_and_the_others_go_on(
    parts: FakeParts, folder: Path, width: int, height: int, said: str
) -> None:
    odd = folder / "incoming" / "cam0" / "odd shape.png"
    odd.write_bytes(png(width, height))
    report = ingest(parts, quiet)
    assert (report.stored, report.rejected) == (42, {"unsupported": 1})
    with read(parts.project.engine) as session:
        (aside,) = rejects(session)
    assert aside.source_key == "cam0/odd shape.png"
    assert said in aside.reason
    assert analyze(parts, quiet).failures == {}


def test_a_long_picture_within_bounds_is_a_frame(parts: FakeParts, folder: Path) -> None:
    (folder / "incoming" / "cam0" / "line.png").write_bytes(png(10, 1000))
    assert ingest(parts, quiet).stored == 43


def test_a_batch_is_bounded_by_memory_and_never_empty() -> None:
    megapixels_49 = decoded_bytes(7000, 7000)
    sizes = [decoded_bytes(1920, 1080)] * 40 + [megapixels_49] * 3 + [BATCH_BYTES * 2] + [1] * 5
    batches = list(chunked_by_size(sizes, 32, int, BATCH_BYTES))
    assert [size for batch in batches for size in batch] == sizes
    assert all(len(batch) <= 32 for batch in batches)
    assert all(sum(batch) <= BATCH_BYTES or len(batch) == 1 for batch in batches)
    assert len(batches[0]) == 32, "usual frames are batched as before"
    assert [BATCH_BYTES * 2] in batches
    assert list(chunked_by_size([], 32, int, 1)) == []


def test_large_pictures_are_decoded_a_few_at_a_time(
    parts: FakeParts, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(12):
        (folder / "incoming" / "cam0" / f"large-{number}.png").write_bytes(png(400, 400, 10 + number))
    ingest(parts, quiet)
    monkeypatch.setattr(analysis, "BATCH_BYTES", 3 * decoded_bytes(400, 400))
    seen: list[int] = []
    embed = parts.clip.embed
    monkeypatch.setattr(
        parts.clip, "embed", lambda images: (seen.append(sum(i.nbytes for i in images)), embed(images))[1]
    )
    report = analyze(parts, quiet)
    assert (report.analyzed, report.failures) == (42 + 32 + 12, {})
    assert max(seen) <= 3 * decoded_bytes(400, 400)


def test_files_are_read_a_few_at_a_time(parts: FakeParts, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []
    work = ingestion._ingest_chunk

    def watched(engine, store, chunk, *rest) -> None:  # type: ignore[no-untyped-def]
        sizes.append(sum(len(capture.read()) for capture in chunk))
        work(engine, store, chunk, *rest)

    monkeypatch.setattr(ingestion, "_ingest_chunk", watched)
    monkeypatch.setattr(ingestion, "BATCH_BYTES", 5000)
    assert ingest(parts, quiet).stored == 42
    assert max(sizes) <= 5000
    assert len(sizes) > 5


def test_a_thumbnail_is_never_much_taller_than_wide(tmp_path: Path) -> None:
    import base64

    path = tmp_path / "tall.png"
    path.write_bytes(png(20, 2000))
    _, _, encoded = thumbnail(path).partition(",")
    shown = Pil.open(io.BytesIO(base64.b64decode(encoded)))
    assert shown.size == (8, TALLEST * WIDTH)


def film(path: Path, frames: int = 5, title: str = "") -> Path:
    with av.open(str(path), "w", metadata_errors="surrogateescape") as container:
        if title:
            container.metadata["title"] = title
        stream = container.add_stream("mpeg4", rate=1)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for number in range(frames):
            pixels = np.full((48, 64, 3), 40 * number, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode())
    return path


def captured(path: Path) -> list[Capture]:
    return [item for item in VideoSource(path, 1.0).captures() if isinstance(item, Capture)]


@pytest.mark.parametrize("title", ["Caf\udce9 de nuit", "\udcff\udcfe", "Tor\x1b[31m"])
def test_a_video_with_an_odd_title_gives_its_frames(tmp_path: Path, title: str) -> None:
    made = film(tmp_path / "titled.mp4", title=title)
    assert len(captured(made)) == 5


@pytest.mark.parametrize("name", ["concat:a.mp4", "data:b.mp4", "50% #1.mp4", "a\nb.mp4"])
def test_a_video_whose_name_looks_like_an_address_is_opened_as_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    film(tmp_path / "plain.mp4").rename(tmp_path / name)
    monkeypatch.chdir(tmp_path)
    assert len(captured(Path(name))) == 5


@pytest.fixture
def watched(folder: Path) -> Iterator[FakeParts]:
    set_yaml(folder, frames__path="../film.mp4", frames__video_every_s=1.0)  # type: ignore[arg-type]
    film(folder / "film.mp4")
    from loop.project.project import open_project

    made = FakeParts(open_project(folder / "project"))
    made.watching = True
    yield made
    made.project.engine.dispose()


def decodes(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    opened: list[str] = []
    real = av.open
    monkeypatch.setattr(av, "open", lambda *given, **more: (opened.append(given[0]), real(*given, **more))[1])
    return opened


def test_a_watched_video_is_decoded_once_until_it_changes(
    watched: FakeParts, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = decodes(monkeypatch)
    assert [ingest(watched, quiet).stored for _ in range(3)] == [5, 0, 0]
    assert len(opened) == 1
    again = FakeParts(watched.project)  # after a restart
    again.watching = True
    ingest(again, quiet)
    assert len(opened) == 1
    film(folder / "film.mp4", frames=6)
    opened.clear()
    ingest(watched, quiet)
    assert len(opened) == 1


def test_a_video_whose_frames_were_not_all_stored_is_read_again(
    watched: FakeParts, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = watched.project
    with monkeypatch.context() as patched:
        patched.setattr(ingestion, "store_image", lambda *given: (_ for _ in ()).throw(OSError(28, "full")))
        with pytest.raises(OSError, match="full"):
            ingest(watched, quiet)
    assert ingest(watched, quiet).stored == 5
    assert len(production(project)) == 5
