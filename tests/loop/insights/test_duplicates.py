"""What `fieldloop duplicates` tells and shows."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy.orm import Session

from db.analysis import load_embeddings
from db.duplicates import NO_LEADER, CameraFrames, clusters_of
from db.engine import read
from db.frames import frames
from db.states import Origin, Role
from loop.base.errors import ProjectError
from loop.base.jsonable import plain
from loop.insights import duplicates
from loop.insights.duplicates import Pair, Survey, as_json, survey
from loop.web.pages.duplicates import render, spread, write
from tests.fakes import FakeParts, quiet
from tests.loop.copies import save_copies


@pytest.fixture
def found(labeled: FakeParts, tmp_path: Path) -> Survey:
    save_copies(labeled, tmp_path / "incoming")
    return survey(labeled.project, quiet)


def test_it_counts_frames_views_and_pairs_across_the_split(labeled: FakeParts, found: Survey) -> None:
    with read(labeled.project.engine) as session:
        rows = {row.seq: row for row in frames(session) if row.embedded_by}
        producer = max(row.embedded_by for row in rows.values())
        ids, vectors = load_embeddings(session, producer)
        _, leader, reach = clusters_of(session, producer)
    camera = np.array([rows[seq].camera for seq in ids.tolist()])
    held = np.array([rows[seq].role == Role.EVALUATION for seq in ids.tolist()])
    apart = np.linalg.norm(vectors[:, None].astype(np.float64) - vectors, axis=2)
    near = (apart <= np.maximum(reach[:, None], reach)) & (camera[:, None] == camera)
    across = near & (held[:, None] & ~held)
    assert (found.frames, found.clusters) == (len(rows), len(np.unique(leader)))
    assert (found.leaking, found.leaking_frames) == (across.sum(), across.any(axis=0).sum())
    assert found.leaking > 0
    assert [each.redundancy for each in found.cameras] == sorted(
        (each.redundancy for each in found.cameras), reverse=True
    )


def test_frames_that_were_embedded_since_are_no_view_of_their_own(
    labeled: FakeParts, found: Survey, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`serve` analyzes while it is looked: some frames are in no cluster yet."""
    known = duplicates.camera_frames

    def half(session: Session, embedder: int, camera: str) -> CameraFrames:
        frames = known(session, embedder, camera)
        late = np.arange(len(frames)) % 2 == 1
        return replace(frames, leader=np.where(late, NO_LEADER, frames.leader))

    monkeypatch.setattr(duplicates, "camera_frames", half)
    seen = survey(labeled.project, quiet)
    assert 0 < seen.clusters <= found.clusters
    with read(labeled.project.engine) as session:
        seqs, leaders, _ = clusters_of(session, max(row.embedded_by for row in frames(session)))
    leader = dict(zip(seqs.tolist(), leaders.tolist(), strict=True))
    for cluster in seen.biggest:
        assert len({leader[seq] for seq in cluster.frames}) == 1


def test_pairs_are_just_inside_and_just_outside_and_no_frame_stands_in_two(found: Survey) -> None:
    assert any(camera.inside for camera in found.cameras)
    assert any(camera.outside for camera in found.cameras)
    for camera in found.cameras:
        for pairs, inside in ((camera.inside, True), (camera.outside, False)):
            assert all((pair.distance <= pair.reach * (1 + 1e-5)) == inside for pair in pairs)
            used = [seq for pair in pairs for seq in (pair.left, pair.right)]
            assert len(used) == len(set(used)) <= 6


def test_the_biggest_clusters_are_of_frames_of_one_leader(labeled: FakeParts, found: Survey) -> None:
    sizes = [len(cluster.frames) for cluster in found.biggest]
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[-1] > 1
    with read(labeled.project.engine) as session:
        producer = max(row.embedded_by for row in frames(session))
        seqs, leaders, _ = clusters_of(session, producer)
    leader = dict(zip(seqs.tolist(), leaders.tolist(), strict=True))
    for cluster in found.biggest:
        assert len({leader[seq] for seq in cluster.frames}) == 1


def test_it_is_told_in_lines_and_as_json(labeled: FakeParts, found: Survey) -> None:
    lines = found.lines()
    assert lines[0] == found.summary()
    assert re.fullmatch(
        r"\d+ frames of \d+ cameras show \d+ different views; \d+ frames outside the evaluation groups are"
        r" near-duplicates of one inside",
        lines[0],
    )
    camera = (
        r"  \S+ +\d+ frames, +\d+ views, \d+\.\d frames each \((within \d\.\d{3}|copies only: nothing to"
        r" learn a threshold from)(, \d+ pairs across the split)?\)"
    )
    told = r"  the same \d+ times( over \d+ days)?: \S+, \S+\.jpg and on"
    count = len(found.cameras)
    assert all(re.fullmatch(camera, line) for line in lines[1 : 1 + count])
    assert all(re.fullmatch(told, line) for line in lines[1 + count :])
    tree = json.loads(json.dumps(plain(as_json(found))))
    assert tree["frames"] == sum(each["frames"] for each in tree["cameras"]) == found.frames
    assert len(tree["biggest"]) == len(found.biggest)
    with read(labeled.project.engine) as session:
        names = {row.seq: row.source_key for row in frames(session)}
    for cluster, line in zip(tree["biggest"][:3], lines[1 + count :], strict=True):
        assert cluster["files"] == [names[seq] for seq in cluster["frames"]]
        assert line.endswith(f", {cluster['files'][0]} and on")


def test_before_the_first_analysis_it_says_what_to_do(parts: FakeParts, tmp_path: Path) -> None:
    with read(parts.project.engine) as session:
        analyzed = any(row.embedded_by for row in frames(session))
    assert not analyzed
    with pytest.raises(ProjectError, match=r"found none; run `fieldloop analyze` first"):
        survey(parts.project, quiet)


def test_the_page_is_one_file_with_its_pictures(labeled: FakeParts, found: Survey, tmp_path: Path) -> None:
    path = tmp_path / "new" / "duplicates.html"
    write(labeled.project, found, path)
    text = path.read_text(encoding="utf-8")
    shown = {seq for cluster in found.biggest for seq in spread(cluster.frames)}
    assert text.count('src="data:image/jpeg;base64,') >= len(shown)
    assert not re.search(r'(src|href)="(?!data:)', text)
    assert "prefers-color-scheme: dark" in text
    for camera in found.cameras:
        assert f"<td>{camera.learned.camera}</td>" in text


def test_names_are_escaped_and_a_lost_picture_leaves_its_caption(labeled: FakeParts, found: Survey) -> None:
    with read(labeled.project.engine) as session:
        first = frames(session, origin=Origin.PRODUCTION)[0]
    (labeled.project.store / first.path).unlink()
    bad = replace(found.cameras[0].learned, camera="<b>gate</b>")
    pair = Pair(first.seq, first.seq + 1, 0.1, 0.2, True)
    camera = replace(found.cameras[0], learned=bad, inside=(pair,), outside=())
    text = render(labeled.project, Survey((camera,), ()))
    assert "<b>gate</b>" not in text
    assert "&lt;b&gt;gate&lt;/b&gt;" in text
    assert text.count("<figcaption") == 2
    assert text.count("<img") == 1
    assert "50 % of their limit, one sequence" in text


def test_a_strip_shows_the_first_the_last_and_some_between() -> None:
    assert spread(range(3)) == [0, 1, 2]  # type: ignore[arg-type]
    long = spread(list(range(100)))
    assert (len(long), long[0], long[-1]) == (10, 0, 99)


def test_without_frames_it_says_so(labeled: FakeParts) -> None:
    assert Survey((), ()).lines() == ["no frame is embedded yet; run `fieldloop analyze` first"]
    assert "No frame is embedded yet" in render(labeled.project, Survey((), ()))


def test_one_camera_is_no_plural(found: Survey) -> None:
    one = replace(found, cameras=found.cameras[:1])
    assert re.match(r"\d+ frames of 1 camera show \d+ different views?\b", one.summary())
