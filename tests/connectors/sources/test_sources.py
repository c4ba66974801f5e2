from __future__ import annotations

import io
import json
import os
import re
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import ExifTags
from PIL import Image as Pil

from connectors import images
from connectors.errors import SourceError
from connectors.ports import Capture, Finished, FrameSource, Refused, Unsettled
from connectors.sources.folder import FolderSource
from connectors.sources.metadata import Defaults, read_time
from connectors.sources.pattern import compile_pattern
from connectors.sources.video import VideoClock, VideoSource

NOW = 1_000_000.0


class Clock:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> float:
        return self.now


class Reports(list[tuple[str, str]]):
    def __call__(self, key: str, problem: str) -> None:
        self.append((key, problem))


def put(root: Path, key: str, content: bytes | str = b"x", age: float = 60.0) -> Path:
    path = root / key
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    os.utime(path, (NOW - age, NOW - age))
    return path


def jpeg(model: str | None = None, taken: str | None = None) -> bytes:
    exif = Pil.Exif()
    if model:
        exif[ExifTags.Base.Model] = model
    if taken:
        exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.DateTimeOriginal] = taken
    out = io.BytesIO()
    Pil.new("RGB", (16, 16), (90, 20, 20)).save(out, "JPEG", exif=exif)
    return out.getvalue()


def captured(source: FrameSource, after: str | None = None) -> list[Capture]:
    return [item for item in source.captures(after) if isinstance(item, Capture)]


def keys(source: FrameSource, after: str | None = None) -> list[str]:
    return [capture.key for capture in captured(source, after)]


def only(source: FrameSource) -> Capture:
    (capture,) = captured(source)
    return capture


def refused(source: FrameSource) -> list[tuple[str, str]]:
    return [(item.key, item.code) for item in source.captures() if isinstance(item, Refused)]


def unsettled(source: FrameSource) -> list[str]:
    return [item.key for item in source.captures() if isinstance(item, Unsettled)]


def folder(root: Path, pattern: str | None = None, **options: object) -> FolderSource:
    return FolderSource(root, pattern, clock=Clock(), **{"settle_s": 2.0, **options})  # type: ignore[arg-type]


# --- scanning ---


def test_keys_are_posix_paths_in_the_order_of_whole_keys(tmp_path: Path) -> None:
    names = ["b.jpg", "a/1.jpg", "a-b/1.jpg", "a.jpg", "a/c/d.jpg", "a0.jpg"]
    for name in names:
        put(tmp_path, name)
    assert keys(folder(tmp_path)) == sorted(names)
    assert keys(folder(tmp_path, recursive=False)) == ["a.jpg", "a0.jpg", "b.jpg"]


def test_only_keys_after_the_given_one_come(tmp_path: Path) -> None:
    names = sorted(f"{a}/{b}/{c}.jpg" for a in "pq" for b in "rs" for c in "tu")
    for name in names:
        put(tmp_path, name)
    for after in [*names, "p/r", "p/s/", "q", "zz", ""]:
        assert keys(folder(tmp_path), after) == [name for name in names if name > after]


def test_captures_are_read_from_their_path(tmp_path: Path) -> None:
    put(tmp_path, "a.jpg", b"bytes of a")
    assert only(folder(tmp_path)).read() == b"bytes of a"


def test_sidecars_hidden_and_unfinished_files_are_passed_over_and_all_else_is_offered(tmp_path: Path) -> None:
    for name in (
        ".a.jpg",
        ".git/b.jpg",
        "c.jpg.part",
        "d.tmp",
        "e.jpg~",
        "f.json",
        "g.csv",
        "h.txt",
        "i.yaml",
    ):
        put(tmp_path, name)
    for name in ("j.JPG", "k", "l.docx", "m.exe"):
        put(tmp_path, name)
    os.mkfifo(tmp_path / "n.jpg")
    assert keys(folder(tmp_path)) == ["j.JPG", "k", "l.docx", "m.exe"]


def test_a_file_is_left_until_it_rests(tmp_path: Path) -> None:
    clock = Clock()
    source = FolderSource(tmp_path, clock=clock, settle_s=2.0)
    put(tmp_path, "old.jpg", age=2.0)
    put(tmp_path, "new.jpg", age=0.5)
    assert keys(source) == ["old.jpg"]
    assert unsettled(source) == ["new.jpg"]
    clock.now += 2
    assert keys(source) == ["new.jpg", "old.jpg"]
    assert unsettled(source) == []


def test_a_file_whose_clock_runs_ahead_comes_once_it_stays_the_same(tmp_path: Path) -> None:
    clock = Clock()
    source = FolderSource(tmp_path, clock=clock, settle_s=2.0)
    put(tmp_path, "ahead.jpg", b"half", age=-3600)
    assert keys(source) == []
    clock.now += 1
    put(tmp_path, "ahead.jpg", b"half and more", age=-3600)
    assert keys(source) == []
    clock.now += 1.5
    assert keys(source) == []
    clock.now += 1
    assert keys(source) == ["ahead.jpg"]


def test_a_clock_that_is_set_back_holds_no_file_longer_than_the_rest_asked_for(tmp_path: Path) -> None:
    clock = Clock()
    source = FolderSource(tmp_path, clock=clock, settle_s=2.0)
    put(tmp_path, "new.jpg", age=0.1)
    assert keys(source) == []
    clock.now -= 7200
    assert keys(source) == []
    clock.now += 2
    assert keys(source) == ["new.jpg"]


def test_scans_in_quick_succession_do_not_make_a_file_whole(tmp_path: Path) -> None:
    source = folder(tmp_path)
    put(tmp_path, "new.jpg", age=0.1)
    assert [keys(source) for _ in range(3)] == [[], [], []]


def test_without_settling_everything_comes_at_once(tmp_path: Path) -> None:
    put(tmp_path, "new.jpg", age=-5)
    assert keys(folder(tmp_path, settle_s=0.0)) == ["new.jpg"]


def test_a_frame_waits_for_its_sidecar_to_be_whole(tmp_path: Path) -> None:
    clock = Clock()
    source = FolderSource(tmp_path, clock=clock, settle_s=2.0)
    put(tmp_path, "a.jpg")
    put(tmp_path, "a.json", '{"camera":', age=0.1)
    assert keys(source) == []
    assert unsettled(source) == ["a.jpg"]
    put(tmp_path, "a.json", '{"camera": "gate"}', age=0.1)
    clock.now += 3
    assert only(source).camera == "gate"


def test_links_are_followed_inside_and_refused_outside(tmp_path: Path) -> None:
    root, outside = tmp_path / "root", tmp_path / "outside"
    put(root, "real/a.jpg")
    put(outside, "secret.jpg")
    (root / "in.jpg").symlink_to(root / "real/a.jpg")
    (root / "out.jpg").symlink_to(outside / "secret.jpg")
    (root / "dangling.jpg").symlink_to(root / "absent.jpg")
    (root / "folder").symlink_to(outside)
    (root / "loop").symlink_to(root)
    reports = Reports()
    source = folder(root, report=reports)
    assert keys(source) == ["in.jpg", "real/a.jpg"]
    assert refused(source) == refused(source) == [("folder", "refused_link"), ("out.jpg", "refused_link")]
    assert [key for key, _ in reports] == ["folder", "out.jpg"]
    assert "got one that leaves it; refused" in reports[0][1]
    assert next(iter(source.captures())) == Refused("folder", "refused_link", reports[0][1])


def test_links_are_followed_anywhere_when_told_so_and_end_where_they_lead_back(tmp_path: Path) -> None:
    root, outside = tmp_path / "root", tmp_path / "outside"
    put(root, "real/a.jpg")
    put(outside, "day/b.jpg")
    (root / "folder").symlink_to(outside)
    (root / "out.jpg").symlink_to(outside / "day/b.jpg")
    (root / "real/up").symlink_to(root)
    (outside / "day/round").symlink_to(outside)
    reports = Reports()
    source = folder(root, report=reports, follow_links=True)
    assert keys(source) == ["folder/day/b.jpg", "out.jpg", "real/a.jpg"]
    assert [key for key, _ in reports] == ["folder/day/round/", "real/up/"]
    assert refused(source) == []


@pytest.mark.parametrize(
    "litter",
    [
        "cam1/@eaDir/0.jpg/SYNOPHOTO_THUMB_XL.jpg",
        "#recycle/old.jpg",
        "$RECYCLE.BIN/S-1-5/$R1.jpg",
        "lost+found/1.jpg",
        "System Volume Information/x.jpg",
        "@Recycle/a.jpg",
        ".@__thumb/a.jpg",
        "__MACOSX/cam1/0.jpg",
        "cam1/Thumbs.db",
    ],
)
def test_what_a_nas_keeps_is_passed_over(tmp_path: Path, litter: str) -> None:
    put(tmp_path, "cam1/0.jpg")
    put(tmp_path, "#3 north/@home/1.jpg")
    put(tmp_path, litter)
    assert keys(folder(tmp_path)) == ["#3 north/@home/1.jpg", "cam1/0.jpg"]


def test_a_name_as_long_as_names_can_be_stops_nothing(tmp_path: Path) -> None:
    long = "\u6f22" * 83 + ".jpg"
    put(tmp_path, long, jpeg())
    put(tmp_path, "a.jpg", jpeg())
    put(tmp_path, "a.json", '{"camera": "gate"}')
    assert [(each.key, each.camera) for each in captured(folder(tmp_path))] == [
        ("a.jpg", "gate"),
        (long, None),
    ]


def test_a_scan_says_all_it_found_in_the_order_of_keys(tmp_path: Path) -> None:
    for name in ("a.jpg", "c.jpg", "e.jpg"):
        put(tmp_path / "root", name)
    put(tmp_path / "root", "b.jpg", age=0.5)
    (tmp_path / "root" / "d.jpg").symlink_to(put(tmp_path, "far.jpg"))
    put(tmp_path / "root", "c.json", "{")
    source = folder(tmp_path / "root")
    expected = [
        (Capture, "a.jpg"),
        (Unsettled, "b.jpg"),
        (Capture, "c.jpg"),
        (Refused, "c.jpg"),
        (Refused, "d.jpg"),
        (Capture, "e.jpg"),
    ]
    assert [(type(item), item.key) for item in source.captures()] == expected
    assert [(type(item), item.key) for item in source.captures("c.jpg")] == expected[4:]
    given_up = source.captures()
    assert next(given_up).key == "a.jpg"
    assert [(type(item), item.key) for item in source.captures()] == expected


def test_the_root_itself_may_be_a_link(tmp_path: Path) -> None:
    put(tmp_path / "real", "a.jpg")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    assert keys(folder(tmp_path / "link")) == ["a.jpg"]


def test_known_files_are_not_offered_until_they_change(tmp_path: Path) -> None:
    put(tmp_path, "a.jpg", b"1")
    put(tmp_path, "b.jpg", b"22")
    assert keys(folder(tmp_path, known=lambda key, size, mtime_ns: size == 1 and mtime_ns > 0)) == ["b.jpg"]


def test_names_that_are_no_utf_8_can_be_stored(tmp_path: Path) -> None:
    put(tmp_path, os.fsdecode(b"caf\xe9.jpg"))
    capture = only(folder(tmp_path, settle_s=0.0))
    assert capture.key.encode() == b"caf\\xe9.jpg"
    assert capture.read() == b"x"


def test_a_root_that_is_no_folder_is_a_clear_error(tmp_path: Path) -> None:
    put(tmp_path, "file.jpg")
    for root in (tmp_path / "absent", tmp_path / "file.jpg"):
        with pytest.raises(
            SourceError, match=r"expected a folder of images, got .*; check path and permissions"
        ):
            keys(folder(root))


def test_folders_are_opened_only_when_their_turn_comes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(50):
        put(tmp_path, f"{number:02d}/a.jpg")
    opened: list[str] = []
    scandir = os.scandir
    monkeypatch.setattr(os, "scandir", lambda path: (opened.append(Path(path).name), scandir(path))[1])
    captures = folder(tmp_path, defaults=Defaults(camera="c")).captures()
    assert [next(captures).key for _ in range(2)] == ["00/a.jpg", "01/a.jpg"]
    assert set(opened) == {tmp_path.name, "00", "01"}


# --- who is believed ---


def test_the_voices_are_believed_in_order(tmp_path: Path) -> None:
    put(tmp_path, "north/p/a.jpg", jpeg("exif cam", "2026:01:02 03:04:05"))
    pattern = "{site}/{camera}/*.jpg"
    assert only(folder(tmp_path)).camera == "exif cam"
    assert only(folder(tmp_path, defaults=Defaults(camera="option"))).camera == "option"
    assert only(folder(tmp_path, pattern, defaults=Defaults(camera="option"))).camera == "p"
    put(tmp_path, "meta.csv", "file,camera\nnorth/p/a.jpg,table\n")
    assert only(folder(tmp_path, pattern)).camera == "table"
    put(tmp_path, "north/p/a.json", '{"camera": "json"}')
    capture = only(folder(tmp_path, pattern, defaults=Defaults(sequence="option")))
    assert (capture.camera, capture.site, capture.sequence) == ("json", "north", "option")
    assert capture.captured_at == datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def test_times_without_an_offset_are_in_the_given_zone(tmp_path: Path) -> None:
    put(tmp_path, "a.jpg", jpeg(taken="2026:07:01 12:00:00"))
    noon_in_rome = datetime(2026, 7, 1, 10, tzinfo=UTC)
    assert only(folder(tmp_path, defaults=Defaults(timezone="Europe/Rome"))).captured_at == noon_in_rome
    put(tmp_path, "a.json", '{"captured_at": "2026-07-01T12:00:00"}')
    assert only(folder(tmp_path, defaults=Defaults(timezone="Europe/Rome"))).captured_at == noon_in_rome


def test_a_start_for_the_whole_source_is_asked_last(tmp_path: Path) -> None:
    put(tmp_path, "a.jpg", jpeg(taken="2026:07:01 12:00:00"))
    put(tmp_path, "b.jpg", jpeg())
    defaults = Defaults(timezone="Europe/Rome", started_at=datetime(2026, 1, 1, 12))
    times = [capture.captured_at for capture in captured(folder(tmp_path, defaults=defaults))]
    assert times == [datetime(2026, 7, 1, 10, tzinfo=UTC), datetime(2026, 1, 1, 11, tzinfo=UTC)]
    for kind in (folder, partial(VideoSource, every_s=1.0)):
        with pytest.raises(SourceError, match="started_at: expected a time that UTC can express"):
            kind(tmp_path, defaults=Defaults(timezone="Asia/Tokyo", started_at=datetime(1, 1, 1)))


def test_an_unknown_zone_is_named_at_once(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="expected a name such as Europe/Rome or UTC, got 'Mars/Base'"):
        folder(tmp_path, defaults=Defaults(timezone="Mars/Base"))


def test_nothing_known_is_none_and_not_invented(tmp_path: Path) -> None:
    put(tmp_path, "a.jpg", b"no image")
    capture = only(folder(tmp_path))
    assert (capture.camera, capture.site, capture.sequence, capture.captured_at) == (None, None, None, None)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("{", "expected a JSON sidecar"),
        ("[1]", "expected a JSON object with camera, site, sequence, captured_at, got a list"),
        ('{"camera": ["x"]}', "camera: expected text, got ['x']"),
        ('{"captured_at": "yesterday"}', "captured_at: expected a time such as"),
        ('{"captured_at": 1e30}', "expected seconds since 1970"),
        ("[" * 100_000, "expected a JSON sidecar"),
        (" " * 1_000_001, "expected a sidecar of at most 1,000,000 bytes"),
    ],
)
def test_a_bad_sidecar_is_reported_once_and_the_frame_still_comes(
    content: str, problem: str, tmp_path: Path
) -> None:
    put(tmp_path, "a.jpg", jpeg("exif cam"))
    put(tmp_path, "a.json", content)
    reports = Reports()
    source = folder(tmp_path, report=reports)
    assert only(source).camera == "exif cam"
    assert only(source).key == "a.jpg"
    assert len(reports) == 1
    assert reports[0][0] == "a.jpg"
    assert problem in reports[0][1]
    assert list(source.captures())[1:] == [Refused("a.jpg", "bad_sidecar", reports[0][1])]


def test_a_sidecar_may_carry_the_whole_file_name(tmp_path: Path) -> None:
    put(tmp_path, "a.jpg")
    put(tmp_path, "a.jpg.json", json.dumps({"camera": 7, "captured_at": 0, "other": {"left": "alone"}}))
    capture = only(folder(tmp_path))
    assert (capture.camera, capture.captured_at) == ("7", datetime(1970, 1, 1, tzinfo=UTC))


def test_the_nearest_csv_that_knows_a_file_speaks_for_it(tmp_path: Path) -> None:
    for name in ("a.jpg", "day/b.jpg", "day/c.jpg"):
        put(tmp_path, name)
    put(tmp_path, "meta.csv", "\ufefffile,camera,extra\n./a.jpg,top,1\nday/b.jpg,top,1\nday/c.jpg,top,1\n")
    put(tmp_path, "day/frames.csv", "file,camera,captured_at\nb.jpg,near,2026-01-01T00:00:00Z\n")
    put(tmp_path, "day/other.csv", "no,sidecar\n1,2\n")
    found = {capture.key: capture.camera for capture in captured(folder(tmp_path))}
    assert found == {"a.jpg": "top", "day/b.jpg": "near", "day/c.jpg": "top"}


T = "2026-11-01T10:00:00Z"


@pytest.mark.parametrize(
    "table",
    [
        f"file;camera;captured_at\na.jpg;gate;{T}\n",
        f"filename,camera,captured_at\na.jpg,gate,{T}\n",
        f"File,Camera,Captured_At\na.jpg,gate,{T}\n",
        f"file\tcamera\tcaptured_at\na.jpg\tgate\t{T}\n",
        f"file, camera, captured_at\na.jpg, gate, {T}\n",
        f"file,camera,captured_at\n.\\a.jpg,gate,{T}\n",
        f"Image Path|Camera-ID|Timestamp\na.jpg|gate|{T}\n",
        "image,device,date,time\na.jpg,gate,2026-11-01,10:00:00\n",
        "image;device;date;time\na.jpg;gate;01.11.2026;10:00\n",
        "image;device;datetime\na.jpg;gate;2026:11:01 10:00:00\n",
        f"camera,file,captured_at,extra\ngate,a.jpg,{T}\n",
    ],
)
@pytest.mark.parametrize("coding", ["utf-8", "utf-8-sig", "utf-16"])
def test_tables_are_read_as_people_write_them(tmp_path: Path, table: str, coding: str) -> None:
    put(tmp_path, "a.jpg", jpeg())
    put(tmp_path, "meta.csv", table.encode(coding))
    capture = only(folder(tmp_path))
    assert (capture.camera, capture.captured_at) == ("gate", datetime(2026, 11, 1, 10, tzinfo=UTC))


def test_keys_of_json_are_read_as_people_write_them_or_as_a_setting_says(tmp_path: Path) -> None:
    put(tmp_path, "a.jpg", jpeg())
    put(tmp_path, "a.json", f'{{"camera_id": "gate", "timestamp": "{T}"}}')
    assert only(folder(tmp_path)).camera == "gate"
    put(tmp_path, "a.json", '{"Kamera": "Tor", "cam": "wrong"}')
    defaults = Defaults(columns={"camera": "Kamera"})
    assert only(folder(tmp_path, defaults=defaults)).camera == "Tor"
    put(tmp_path, "a.json", '{"cam": "wrong"}')
    assert only(folder(tmp_path, defaults=defaults)).camera is None


def test_what_is_not_understood_is_told_once_with_what_was_found_and_wanted(tmp_path: Path) -> None:
    for name in ("a", "b"):
        put(tmp_path, f"x/{name}.jpg", jpeg())
        put(tmp_path, f"x/{name}.json", '{"Ort": "Nord", "Tor": 3}')
        put(tmp_path, f"y/{name}.jpg", jpeg())
    put(tmp_path, "y/meta.csv", "Bild;Ort\na.jpg;Nord\n")
    reports = Reports()
    assert len(keys(folder(tmp_path, report=reports))) == 4
    assert [key for key, _ in reports] == ["x", "y/meta.csv"]
    assert "expected one of the keys camera, site, sequence, captured_at, got Ort, Tor;" in reports[0][1]
    assert (
        "expected a column file and one of camera, site, sequence, captured_at, got Bild, Ort;"
        in reports[1][1]
    )
    named = Defaults(columns={"file": "Bild", "site": "Ort"})
    assert [each.site for each in captured(folder(tmp_path, defaults=named))] == [
        "Nord",
        "Nord",
        "Nord",
        None,
    ]


def test_labels_beside_an_image_are_no_sidecar(tmp_path: Path) -> None:
    put(tmp_path, "a.jpg", jpeg())
    put(tmp_path, "a.json", '{"shapes": [], "imagePath": "a.jpg"}')
    assert refused(folder(tmp_path)) == []


def test_rows_of_one_file_that_contradict_each_other_are_told(tmp_path: Path) -> None:
    put(tmp_path, "a.jpg")
    put(tmp_path, "b.jpg")
    put(tmp_path, "m.csv", "file,camera\na.jpg,1\n.\\a.jpg,2\nb.jpg,3\nb.jpg,3\n")
    reports = Reports()
    found = [item.camera for item in folder(tmp_path, report=reports).captures() if isinstance(item, Capture)]
    assert found == [None, "3"]
    assert reports == [
        ("m.csv", "1 files such as a.jpg have rows that contradict each other; none of these is used")
    ]


def test_two_csvs_in_one_folder_are_reported_and_neither_is_used(tmp_path: Path) -> None:
    put(tmp_path, "a.jpg")
    put(tmp_path, "one.csv", "file,camera\na.jpg,1\n")
    put(tmp_path, "two.csv", "file,camera\na.jpg,2\n")
    reports = Reports()
    assert only(folder(tmp_path, report=reports)).camera is None
    assert reports == [(".", "expected one CSV with a column 'file', got 2; none is used")]


def test_a_csv_that_cannot_be_read_is_reported(tmp_path: Path) -> None:
    put(tmp_path, "a.jpg")
    put(tmp_path, "meta.csv", b"file,camera\na.jpg,\xff\xfe\n")
    reports = Reports()
    assert only(folder(tmp_path, report=reports)).camera is None
    assert reports[0][0] == "meta.csv"
    assert "expected a CSV in UTF-8" in reports[0][1]


def test_a_bad_row_is_reported_for_its_file_alone(tmp_path: Path) -> None:
    put(tmp_path, "a.jpg")
    put(tmp_path, "b.jpg")
    put(tmp_path, "meta.csv", "file,camera,captured_at\na.jpg,1,soon\nb.jpg,2,\n")
    reports = Reports()
    assert [capture.camera for capture in captured(folder(tmp_path, report=reports))] == [None, "2"]
    assert [key for key, _ in reports] == ["a.jpg"]


def test_names_are_made_fit_for_a_table(tmp_path: Path) -> None:
    put(tmp_path, "a.jpg")
    put(tmp_path, "a.json", json.dumps({"camera": "  a\0b\nc " + "x" * 500, "site": "\t"}))
    capture = only(folder(tmp_path))
    assert capture.camera is not None
    assert capture.camera.startswith("a b c xxx")
    assert len(capture.camera) == 120
    assert capture.site is None


def test_times_are_read_as_sidecars_write_them() -> None:
    assert read_time("2026-11-24T08:30:00+01:00", UTC) == datetime(2026, 11, 24, 7, 30, tzinfo=UTC)
    for number in (1770113472, "1770113472000", 1770113472000000):
        assert read_time(number, UTC) == datetime(2026, 2, 3, 10, 11, 12, tzinfo=UTC)
    assert read_time("86400.5", UTC) == datetime(1970, 1, 2, microsecond=500_000, tzinfo=UTC)
    for value in (True, None, "nan", "0001-01-01T00:00:00+14:00"):
        with pytest.raises(ValueError, match="expected"):
            read_time(value, UTC)


# --- path patterns ---


def test_a_pattern_reads_site_camera_and_time_from_the_path(tmp_path: Path) -> None:
    put(tmp_path, "north/gate-3/2026-11-24/083015-0007.JPG")
    capture = only(folder(tmp_path, "{site}/{camera}/{date:%Y-%m-%d}/{time:%H%M%S}-{n}.jpg"))
    assert (capture.site, capture.camera) == ("north", "gate-3")
    assert capture.captured_at == datetime(2026, 11, 24, 8, 30, 15, tzinfo=UTC)


@pytest.mark.parametrize(
    ("pattern", "key", "expected"),
    [
        (
            "{date:%Y}/{date:%m}/{date:%d}/{camera}.jpg",
            "2026/02/03/c.jpg",
            datetime(2026, 2, 3, 12, tzinfo=UTC),
        ),
        (
            "{camera}_{datetime:%Y%m%dT%H%M%S%z}.jpg",
            "c_20260203T101112+0100.jpg",
            datetime(2026, 2, 3, 9, 11, 12, tzinfo=UTC),
        ),
        (
            "{camera}_{datetime}_*.jpg",
            "c_20260203T101112_left.jpg",
            datetime(2026, 2, 3, 10, 11, 12, tzinfo=UTC),
        ),
        (
            "{camera}-{date:%d.%m.%y} {time:%H.%M}.jpg",
            "c-03.02.26 10.11.jpg",
            datetime(2026, 2, 3, 10, 11, tzinfo=UTC),
        ),
        ("{camera}/{camera}_{n}.jpg", "c/c_001.jpg", None),
        ("{camera}_{datetime:%s}.jpg", "c_1770113472.jpg", datetime(2026, 2, 3, 10, 11, 12, tzinfo=UTC)),
        (
            "{camera}/{datetime:%s}_{n}.jpg",
            "c/1770113472000_7.jpg",
            datetime(2026, 2, 3, 10, 11, 12, tzinfo=UTC),
        ),
        (
            "{camera}-{time:%s}.jpg",
            "c-1770113472.500.jpg",
            datetime(2026, 2, 3, 10, 11, 12, 500_000, tzinfo=UTC),
        ),
        ("{date:%s}{camera}.png", "1770113472000000c.png", datetime(2026, 2, 3, 10, 11, 12, tzinfo=UTC)),
    ],
)
def test_patterns_of_many_habits(pattern: str, key: str, expected: datetime | None) -> None:
    facts = compile_pattern(pattern).facts(key, UTC)
    assert facts is not None
    assert (facts.camera, facts.captured_at) == ("c", expected)


def test_a_field_named_twice_must_be_the_same_twice() -> None:
    assert compile_pattern("{camera}/{camera}_{n}.jpg").facts("c/d_001.jpg", UTC) is None


def test_letters_of_a_pattern_mean_themselves() -> None:
    assert compile_pattern("a+(b).{camera}.jpg").facts("aab.c.jpg", UTC) is None
    assert compile_pattern("a+(b).{camera}.jpg").facts("a+(b).c.jpg", UTC) is not None


def test_files_that_do_not_fit_fall_back_and_are_reported_in_one_line(tmp_path: Path) -> None:
    for name in ("x/a.jpg", "b.jpg", "c.jpg"):
        put(tmp_path, name)
    reports = Reports()
    source = folder(tmp_path, "{camera}/{n}.jpg", defaults=Defaults(camera="fallback"), report=reports)
    assert [capture.camera for capture in captured(source)] == ["fallback"] * 3
    assert len(reports) == 1
    assert "expected names as in the pattern '{camera}/{n}.jpg', got 3 that differ" in reports[0][1]


def test_a_day_that_no_calendar_has_is_reported(tmp_path: Path) -> None:
    put(tmp_path, "2026-02-31.jpg")
    reports = Reports()
    assert only(folder(tmp_path, "{date:%Y-%m-%d}.jpg", report=reports)).captured_at is None
    assert "expected a time as in the pattern" in reports[0][1]


@pytest.mark.parametrize(
    ("pattern", "problem"),
    [
        ("{cam}/{n}.jpg", r"got \{cam\}; did you mean \{camera\}\?"),
        ("{}.jpg", r"expected one of the fields site, camera, .*, got \{\}"),
        ("{camera.jpg", "expected every { to have its }"),
        ("{camera:%Y}.jpg", r"expected \{camera\} without a format, got \{camera:%Y\}"),
        ("{date:%Y-%Q}.jpg", r"field \{date\}: expected the directives .*, got %Q"),
        ("{site}{camera}.jpg", r"expected a character between \{site\} and \{camera\}"),
        ("*_*_*_{n}_{n}.jpg", "expected at most 4 free fields between two slashes, got 5"),
        ("{time:%H%M}.jpg", "expected a date beside the time"),
        ("{date:%Y-%m-%d}/{time:%s}.jpg", "expected %s to be the whole time, got '%Y-%m-%d %s'"),
        ("{date:%Y-%m-%d}/{date:%Y}.jpg", "expected each part of a time once"),
    ],
)
def test_a_bad_pattern_names_what_is_wrong(pattern: str, problem: str, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=problem) as caught:
        folder(tmp_path, pattern)
    assert str(caught.value).startswith(f"pattern {pattern!r}: ")


def test_a_hostile_name_is_refused_quickly() -> None:
    pattern = compile_pattern("{site}-{camera}-{sequence}-{n}.jpg")
    assert pattern.facts("-1" * 120 + "!", UTC) is None


# --- videos ---


def write_video(path: Path, frames: int = 50, fps: int = 10, creation_time: str | None = None) -> Path:
    """Ten frames a second, each frame's gray its number times four; the left third is bright red."""
    with av.open(str(path), "w") as container:
        if creation_time:
            container.metadata["creation_time"] = creation_time
        stream = container.add_stream("mpeg4", rate=fps)
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
        stream.bit_rate = 2_000_000
        for number in range(frames):
            pixels = np.full((64, 96, 3), 4 * number, np.uint8)
            pixels[:, :32] = (250, 10, 10)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode())
    return path


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_video(
        tmp_path_factory.mktemp("clips") / "gate.mp4", creation_time="2026-03-01T10:00:00.000000Z"
    )


def gray(capture: Capture) -> float:
    return float(images.decode(capture.read())[:, 48:].mean())


def test_a_frame_comes_for_every_second_of_the_video(clip: Path) -> None:
    captures = captured(VideoSource(clip, every_s=1.0))
    assert [capture.key for capture in captures] == [f"{clip}#{10 * second:08d}" for second in range(5)]
    for second, capture in enumerate(captures):
        assert gray(capture) == pytest.approx(40 * second, abs=4)
    (sequence,) = {capture.sequence for capture in captures}
    assert re.fullmatch("gate-[0-9a-f]{8}", sequence or "")


def test_videos_in_a_folder_come_with_its_images(clip: Path, tmp_path: Path) -> None:
    put(tmp_path, "cam1/a.jpg", jpeg())
    put(tmp_path, "cam1/b.mp4", clip.read_bytes())
    put(tmp_path, "cam1/c.mov", b"no video")
    put(tmp_path, "cam1/d.jpg", jpeg())
    put(tmp_path, "meta.csv", "file,site\ncam1/b.mp4,north\n")
    source = folder(tmp_path, "{camera}/*", report=Reports(), video_every_s=2.0)
    frames = ["cam1/b.mp4#00000000", "cam1/b.mp4#00000020", "cam1/b.mp4#00000040"]
    assert keys(source) == ["cam1/a.jpg", *frames, "cam1/d.jpg"]
    assert refused(source) == [("cam1/c.mov", "bad_video")]
    finished = [(item.key, item.whole) for item in source.captures() if isinstance(item, Finished)]
    assert finished == [("cam1/b.mp4", True), ("cam1/c.mov", False)]
    video = captured(source)[1]
    assert (video.camera, video.site, str(video.captured_at)) == (
        "cam1",
        "north",
        "2026-03-01 10:00:00+00:00",
    )
    assert keys(source, frames[1]) == [frames[2], "cam1/d.jpg"]


@pytest.mark.parametrize(
    ("stamps", "seconds", "problem"),
    [
        ([5.0, 5.1, 5.2, 5.3], [0, 0.1, 0.2, 0.3], ""),
        ([5.0, 5.1, 0.0, 0.1], [0, 0.1, 0.2, 0.3], "restart or leap once"),
        ([5.0, 9800.0, 5.2, 5.3], [0, 0.1, 0.2, 0.3], "restart or leap 2 times"),
        ([5.0, 605.0, 605.1, 605.2], [0, 600, 600.1, 600.2], ""),
        ([5.0, 1e6, 1e6 + 0.1], [0, 0.1, 0.2], "restart or leap once"),
        ([None, None, None], [0, 0.1, 0.2], "3 frames have no time stamp; they count as 10 a second"),
        ([5.0, None, 5.2], [0, 0.1, 0.2], "1 frame has no time stamp; it counts as 10 a second"),
        ([5.0, 5.0, 5.1], [0, 0.1, 0.2], "restart or leap once"),
        ([5.0, 5.1, 99.0], [0, 0.1, 0.2], "restart or leap once"),
    ],
)
def test_a_clock_goes_on_whatever_time_stamps_do(
    stamps: list[float | None], seconds: list[float], problem: str
) -> None:
    clock = VideoClock(0.1)
    ticked = [clock.tick(now, after) for now, after in zip(stamps, [*stamps[1:], None], strict=True)]
    assert ticked == pytest.approx(seconds)
    assert problem in clock.problem if problem else clock.problem == ""


def test_a_picture_every_five_minutes_is_no_leap() -> None:
    clock = VideoClock(300.0)
    assert [clock.tick(t, None) for t in (0.0, 300.0, 900.0)] == [0.0, 300.0, 900.0]


def stream_of(path: Path, number: int, frames: int) -> bytes:
    """An MPEG transport stream of its own, 10 frames a second."""
    with av.open(str(path), "w", format="mpegts") as container:
        stream = container.add_stream("mpeg2video", rate=25)
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
        for _ in range(frames):
            pixels = np.full((64, 96, 3), 40 * number, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode())
    return path.read_bytes()


def test_a_recording_that_restarts_loses_no_frame(tmp_path: Path) -> None:
    parts = [stream_of(tmp_path / f"{n}.ts", n, 100) for n in (1, 4)]
    (tmp_path / "both.ts").write_bytes(b"".join(parts))
    reports = Reports()
    captures = captured(VideoSource(tmp_path / "both.ts", every_s=1.0, report=reports))
    assert len(captures) == 8
    assert [round(gray(capture) / 40) for capture in captures] == [1] * 4 + [4] * 4
    assert any("time stamps restart or leap once" in problem for _, problem in reports)


def test_a_stream_without_time_stamps_comes_by_its_frames(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "raw.mp4"), "w", format="h264") as container:
        stream = container.add_stream("libx264", rate=10)
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
        for number in range(50):
            pixels = np.full((64, 96, 3), 4 * number, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode())
    reports = Reports()
    captures = captured(VideoSource(tmp_path / "raw.mp4", every_s=1.0, report=reports))
    assert [round(gray(capture) / 40) for capture in captures] == [0, 1, 2, 3, 4]
    assert reports == [("raw.mp4", "50 frames have no time stamp; they count as 10 a second")]


def test_zero_means_every_frame_and_keys_do_not_depend_on_the_interval(clip: Path) -> None:
    every = keys(VideoSource(clip, every_s=0.0))
    assert len(every) == 50
    assert set(keys(VideoSource(clip, every_s=0.35))) < set(every)
    assert keys(VideoSource(clip, every_s=1000.0)) == every[:1]


def test_only_frames_after_the_given_key_come(clip: Path) -> None:
    source = VideoSource(clip, every_s=1.0)
    assert keys(source, f"{clip}#00000020") == [f"{clip}#00000030", f"{clip}#00000040"]


def test_capture_times_start_where_the_option_or_the_file_says(clip: Path, tmp_path: Path) -> None:
    written = datetime(2026, 3, 1, 10, tzinfo=UTC)
    assert [c.captured_at for c in captured(VideoSource(clip, 2.0))] == [
        written + timedelta(seconds=s) for s in (0, 2, 4)
    ]
    given = VideoSource(clip, 2.0, Defaults(timezone="Europe/Rome", started_at=datetime(2026, 1, 1, 12)))
    assert captured(given)[0].captured_at == datetime(2026, 1, 1, 11, tzinfo=UTC)
    silent = write_video(tmp_path / "silent.avi", frames=3)
    assert only(VideoSource(silent, 1.0)).captured_at is None


def test_options_name_camera_site_and_sequence(clip: Path) -> None:
    source = VideoSource(clip, 1000.0, Defaults(camera="gate-3", site="north", sequence="shift 1"))
    capture = only(source)
    assert (capture.camera, capture.site, capture.sequence) == ("gate-3", "north", "shift 1")


def test_videos_of_equal_name_share_neither_keys_nor_sequence_but_copies_are_one(
    clip: Path, tmp_path: Path
) -> None:
    for folder_name in ("north", "south", "copies"):
        (tmp_path / folder_name).mkdir()
    north = write_video(tmp_path / "north" / "gate.avi", frames=3)
    south = write_video(tmp_path / "south" / "gate.avi", frames=5)
    copy = tmp_path / "copies" / "gate.avi"
    copy.write_bytes(south.read_bytes())
    found = [only(VideoSource(path, 1.0)) for path in (north, south, copy)]
    assert len({capture.key for capture in found}) == 3
    assert found[0].sequence != found[1].sequence
    assert found[1].sequence == found[2].sequence


def test_the_voices_speak_for_a_video_in_the_same_order(clip: Path, tmp_path: Path) -> None:
    path = tmp_path / "north" / "gate-3" / "20260105-101500.mp4"
    path.parent.mkdir(parents=True)
    path.write_bytes(clip.read_bytes())
    told = Defaults(camera="option", sequence="option", started_at=datetime(2025, 1, 1, tzinfo=UTC))
    pattern = "{site}/{camera}/{datetime:%Y%m%d-%H%M%S}.mp4"

    def said(pattern: str | None = None) -> Capture:
        return captured(VideoSource(path, 2.0, told, pattern))[1]

    capture = said()
    assert (capture.camera, capture.site, capture.sequence) == ("option", None, "option")
    assert capture.captured_at == datetime(2025, 1, 1, 0, 0, 2, tzinfo=UTC)
    capture = said(pattern)
    assert (capture.camera, capture.site, capture.sequence) == ("gate-3", "north", "option")
    assert capture.captured_at == datetime(2026, 1, 5, 10, 15, 2, tzinfo=UTC)
    (path.parent / "meta.csv").write_text("file,camera\n20260105-101500.mp4,table\n")
    assert said(pattern).camera == "table"
    path.with_suffix(".json").write_text('{"camera": "json", "captured_at": "2026-02-01T00:00:00Z"}')
    capture = said(pattern)
    assert (capture.camera, capture.site) == ("json", "north")
    assert capture.captured_at == datetime(2026, 2, 1, 0, 0, 2, tzinfo=UTC)


def test_what_is_wrong_beside_a_video_is_reported_and_its_frames_still_come(
    clip: Path, tmp_path: Path
) -> None:
    path = tmp_path / "a.mp4"
    path.write_bytes(clip.read_bytes())
    path.with_suffix(".json").write_text("{")
    reports = Reports()
    source = VideoSource(path, 1000.0, pattern="{camera}-{n}.mp4", report=reports)
    assert only(source).camera is None
    assert [key for key, _ in reports] == ["a.mp4", "a.mp4"]
    assert "got 1 that differ" in reports[1][1]
    assert refused(source) == refused(source) == [("a.mp4", "bad_sidecar")]


def test_a_rotated_recording_comes_upright(clip: Path, tmp_path: Path) -> None:
    content = bytearray(clip.read_bytes())
    matrix = content.index(b"tkhd") + 4 + 40
    one, zero = (1 << 16).to_bytes(4, "big"), bytes(4)
    clockwise = zero + one + zero + (-(1 << 16)).to_bytes(4, "big", signed=True) + zero * 4
    content[matrix : matrix + 32] = clockwise
    turned = tmp_path / "turned.mp4"
    turned.write_bytes(content)
    pixels = images.decode(only(VideoSource(turned, 1000.0)).read())
    assert pixels.shape == (96, 64, 3)
    assert pixels[:28, :, 0].mean() > 200  # what was left is now on top
    assert pixels[40:, :, 0].mean() < 30


@pytest.mark.parametrize("content", [b"", b"this is no video" * 100])
def test_what_is_no_video_is_a_clear_error(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    path.write_bytes(content)
    with pytest.raises(
        SourceError, match=r"expected a video that FFmpeg can decode, got: .*; convert or leave it out"
    ):
        keys(VideoSource(path, 1.0))


def test_a_missing_video_and_a_negative_interval_are_clear_errors(tmp_path: Path, clip: Path) -> None:
    with pytest.raises(SourceError, match="expected a video, got no such file; check the path"):
        keys(VideoSource(tmp_path / "absent.mp4", 1.0))
    with pytest.raises(SourceError, match="every_s: expected 0 or more seconds between frames, got -1"):
        VideoSource(clip, every_s=-1)


def test_a_video_without_pictures_is_a_clear_error(tmp_path: Path) -> None:
    path = tmp_path / "sound.wav"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=8000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), format="s16", layout="mono")
        frame.sample_rate = 8000
        container.mux(stream.encode(frame))
        container.mux(stream.encode())
    with pytest.raises(SourceError, match="no video in it"):
        keys(VideoSource(path, 1.0))


def test_of_a_truncated_recording_the_readable_part_comes(tmp_path: Path) -> None:
    whole = write_video(tmp_path / "whole.avi", frames=50)
    cut = tmp_path / "cut.avi"
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    captures = captured(VideoSource(cut, 0.5, report=Reports()))
    assert 2 <= len(captures) < 10
    assert all(images.decode(capture.read()).shape == (64, 96, 3) for capture in captures)


def test_damage_in_the_middle_does_not_lose_the_end(tmp_path: Path) -> None:
    whole = write_video(tmp_path / "whole.avi", frames=50)
    content = bytearray(whole.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 600] = bytes(600)
    damaged = tmp_path / "damaged.avi"
    damaged.write_bytes(content)
    captures = captured(VideoSource(damaged, 0.5, report=Reports()))
    assert gray(captures[-1]) > 140


@pytest.mark.slow
def test_real_clips_of_fixed_cameras() -> None:
    clips = Path(os.environ.get("FIELDLOOP_DATA", "../shared/data")) / "fixed_videos"
    if not clips.is_dir():
        if os.environ.get("CI"):
            pytest.fail(f"{clips} is missing: set FIELDLOOP_DATA")
        pytest.skip(f"{clips} is missing: set FIELDLOOP_DATA")
    counts = {
        path.name: len(captured(VideoSource(path, 1.0)))
        for path in sorted(clips.iterdir())
        if path.suffix in (".mp4", ".avi")
    }
    assert counts["car-detection.mp4"] == 31
    assert all(count >= 25 for count in counts.values())
