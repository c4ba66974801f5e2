"""Every page names files, shows times in the project's zone and has one scale; control characters reach
none.
"""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from db.engine import read, write
from db.frames import FrameRow, frames
from db.leases import note_run
from db.states import Origin
from loop.base.jsonable import plain
from loop.gaps import coverage_view
from loop.gaps.coverage_view import CoverageView
from loop.insights.duplicates import as_json, survey
from loop.insights.overview import overview, overview_lines
from loop.project.project import Project
from loop.selection.select import Request, select_from
from loop.service.scheduler import State
from loop.web.pages import duplicates, gaps, selection
from tests.fakes import FakeParts, quiet
from tests.loop.desk import push
from tests.loop.web.worker import client

TOKYO = "Asia/Tokyo"


def in_tokyo(project: Project) -> Project:
    """The same project, nine hours ahead of UTC."""
    of_frames = project.settings.frames.model_copy(update={"timezone": TOKYO})
    settings = project.settings.model_copy(update={"frames": of_frames})
    return Project(project.root, settings, project.engine)


def production(parts: FakeParts) -> list[FrameRow]:
    with read(parts.project.engine) as session:
        return frames(session, origin=Origin.PRODUCTION)


def local(row: FrameRow, form: str = "%Y-%m-%d %H:%M JST") -> str:
    assert row.captured_at is not None
    stamp = row.captured_at.timestamp() + 9 * 3600
    return datetime.fromtimestamp(stamp, UTC).strftime(form)


def captions(page: str, rows: list[FrameRow], form: str = "%Y-%m-%d %H:%M JST") -> int:
    """How many frames stand on the page with their file and their local time; none without."""
    shown = [row for row in rows if row.source_key in page]
    assert all(local(row, form) in page for row in shown)
    assert " UTC" not in page
    assert not re.search(r"\bframe \d", page)
    return len(shown)


def test_the_page_of_gaps(parts: FakeParts, view: CoverageView) -> None:
    page = gaps.render(in_tokyo(parts.project), view)
    assert captions(page, production(parts)) >= 6
    (gap, *_) = coverage_view.as_json(view)["gaps"]
    names = {row.path: row.source_key for row in production(parts)}
    assert gap["example_files"] == [names[path] for path in gap["examples"]]


def test_all_bars_of_the_page_of_gaps_have_one_scale(parts: FakeParts, view: CoverageView) -> None:
    """What is twice as long is twice as much, from one card to the next and in the list of all."""
    rare = replace(view.gaps[0], production_share=0.05, training_share=0.01, interval=(0.03, 0.08))
    page = gaps.render(parts.project, replace(view, gaps=[*view.gaps, rare]))
    rows = re.findall(
        r'<span class="track"><i class="[pt]" style="width: ([\d.]+)%">.*?<span class="num">([\d.]+) %',
        page,
        re.DOTALL,
    )
    listed = re.findall(
        r'num">([\d.]+) \| ([\d.]+) %</span></div>\s*'
        r'<div class="track"><i class="p" style="width: ([\d.]+)%"></i></div>'
        r'<div class="track"><i class="t" style="width: ([\d.]+)%',
        page,
    )
    assert len(rows) == 4 * (len(view.gaps) + 1)
    assert len(listed) > 4
    pairs = [*rows, *((w, n) for a, b, c, d in listed for w, n in ((c, a), (d, b)))]
    assert all(float(wide) == pytest.approx(float(number), abs=0.51) for wide, number in pairs)
    assert "A full bar is 100 %" in page


def test_the_page_of_a_batch(parts: FakeParts, view: CoverageView) -> None:
    report = select_from(parts.project, view, Request(12, "hybrid", dry_run=True, explain=True))
    page = selection.render(in_tokyo(parts.project), view, report)
    assert captions(page, production(parts)) >= 12
    names = {row.seq: row.source_key for row in production(parts)}
    assert [one.file for one in report.chosen] == [names[one.frame] for one in report.chosen]
    assert all(f"({one.file})" in line for one, line in zip(report.chosen, rows_of(report), strict=True))
    assert report.explanation is not None
    assert all(near.file in page for near in report.explanation.nearest.values())


def rows_of(report: Any) -> list[str]:
    return [line for line in report.lines() if re.match(r" +\d+  cam", line)]


def test_the_page_of_near_duplicates(analyzed: FakeParts) -> None:
    found = survey(analyzed.project, quiet)
    page = duplicates.render(in_tokyo(analyzed.project), found)
    assert captions(page, production(analyzed), "%Y-%m-%d %H:%M:%S JST") > 0
    tree: Any = plain(as_json(found))
    with read(analyzed.project.engine) as session:
        names = {row.seq: row.source_key for row in frames(session)}
    pairs = [pair for camera in tree["cameras"] for pair in camera["just_inside"] + camera["just_outside"]]
    assert pairs
    assert all(pair["files"] == [names[pair["left"]], names[pair["right"]]] for pair in pairs)


def test_a_task(chosen: FakeParts) -> None:
    parts = FakeParts(in_tokyo(chosen.project), chosen.server)
    push(parts)
    with read(parts.project.engine) as session:
        files = {row.source_key: row for row in frames(session)}
    assert len(parts.server.tasks) == 12
    for made in parts.server.tasks:
        row = files[made.task.meta["file"]]
        assert made.task.meta["captured_at"] == local(row, "%Y-%m-%d %H:%M:%S JST")


@pytest.mark.parametrize("outcome", ["done", "failed"])
def test_status_and_its_page(parts: FakeParts, outcome: str) -> None:
    with write(parts.project.engine) as session:
        note_run(session, "push", datetime(2026, 5, 1, 20, 0, 7, tzinfo=UTC), outcome, "said")
    project = in_tokyo(parts.project)
    view = overview(project)
    run = replace(view.jobs["push"], finished_at=datetime(2026, 5, 1, 21, 0, 7, tzinfo=UTC))
    line = overview_lines(replace(view, jobs={"push": run}))[-1]
    since = "failed since 2026-05-02 05:00:07 JST, last tried at 06:00:07 JST: said"
    assert (
        line
        == f"job        push: {since if outcome == 'failed' else 'done at 2026-05-02 06:00:07 JST: said'}"
    )
    idle = State(checked_at=datetime(2026, 5, 1, 20, 0, 7, tzinfo=UTC))
    health = {"ok": True, "problems": [], "jobs": {"push": idle}, "label_studio": ""}
    web = client(project, lambda: health)
    text = web.get("/").text + web.get("/rounds").text
    assert "looked at 05:00:07 JST" in text
    assert "UTC" not in text


def test_what_strangers_named_moves_no_letter_of_a_page(parts: FakeParts, folder: Path) -> None:
    from loop.ingest.ingest import ingest

    (folder / "incoming" / "a\x1b[31m\u202egpj.jpg").write_bytes(b"no image")
    ingest(parts, quiet)
    health = {"ok": True, "problems": [], "jobs": {}, "label_studio": ""}
    text = client(parts.project, lambda: health).get("/").text
    assert "a\\x1b[31m\\u202egpj.jpg" in text
    assert not set("\x1b\u202e") & set(text)
