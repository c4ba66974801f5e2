"""What status says: the facts of the models in use, whichever was made last."""

from __future__ import annotations

from pathlib import Path

from connectors.sources.folder import FolderSource
from loop.analysis.analyze import analyze
from loop.ingest.ingest import ingest, one_pass
from loop.insights.overview import overview, overview_lines
from loop.insights.placing import unplaced_lines
from loop.project.project import Project, public_database_url
from loop.rounds import deploy
from loop.settings.settings import IngestRules
from tests.fakes import FakeEmbedder, FakeParts, add_checkpoint, picture, quiet, weights


def analyzed(parts: FakeParts) -> dict[str, tuple[str, int]]:
    return {item.kind: (item.name, item.done) for item in overview(parts.project).analyzed}


def test_nothing_is_said_before_the_first_analysis(parts: FakeParts) -> None:
    assert overview(parts.project).analyzed == []


def test_the_deployed_models_facts_are_shown_after_a_rollback(parts: FakeParts) -> None:
    ingest(parts, quiet)
    analyze(parts, quiet)
    former = parts.detector().name
    assert analyzed(parts)["detector"] == (former, 74)

    candidate = add_checkpoint(parts.project, weights(note="better"))
    row = deploy.promote(parts.project, candidate, "by hand")
    assert analyzed(parts)["detector"] == (row.sha256[:16], 0)
    assert f"analyzed   0/74 by detector {row.sha256[:16]}" in overview_lines(overview(parts.project))

    analyze(parts, quiet)
    assert analyzed(parts)["detector"] == (parts.detector().name, 74)
    assert parts.detector().name != former

    deploy.rollback(parts.project)
    assert analyzed(parts)["detector"] == (former, 74)


def test_the_configured_embedders_facts_are_shown(parts: FakeParts) -> None:
    ingest(parts, quiet)
    analyze(parts, quiet)
    assert analyzed(parts)["embedder"] == ("fake-clip", 74)
    other = parts.project.settings.embedder.model_copy(update={"model": "ViT-B-32"})
    object.__setattr__(
        parts.project, "settings", parts.project.settings.model_copy(update={"embedder": other})
    )
    assert analyzed(parts)["embedder"] == ("ViT-B-32", 0)
    parts.clip = FakeEmbedder("other-clip")
    analyze(parts, quiet)
    assert analyzed(parts)["embedder"] == ("other-clip", 74)


def test_a_model_that_is_promoted_while_it_loads_is_not_mistaken(parts: FakeParts) -> None:
    from loop.analysis import producers

    ingest(parts, quiet)
    candidate = add_checkpoint(parts.project, weights(note="better"))
    load = parts.detector

    def promoted_meanwhile() -> object:
        found = load()
        deploy.promote(parts.project, candidate, "by hand")
        return found

    parts.detector = promoted_meanwhile
    sha256, detector = producers.deployed_detector(parts)
    assert detector.name == f"fake:{sha256[:16]}"
    assert sha256 == deploy.find_model(parts.project, str(candidate)).sha256


def test_frames_without_camera_or_time_are_told_with_what_to_do(parts: FakeParts, tmp_path: Path) -> None:
    ingest(parts, quiet)
    assert unplaced_lines(parts.project) == []
    for number in range(6):
        path = tmp_path / "bare" / f"gate{number % 2}" / f"{number}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(picture(seed=900 + number))
    project = parts.project
    rules = IngestRules(50_000_000, 50_000_000, 0.25)
    one_pass(project.engine, project.store, FolderSource(tmp_path / "bare", settle_s=0), rules, quiet)
    told = unplaced_lines(project)
    assert (
        told[0]
        == "of 48 production frames 6 have no camera and 6 no time; 6 are grouped by order of arrival, 50 at"
        " a time"
    )
    assert told[1].startswith(
        "correct frames.pattern (the paths look like '{camera}/*'), set frames.camera, or"
    )
    assert [line.strip() for line in overview_lines(overview(project))[2:4]] == told


def test_the_address_of_the_database_is_readable_and_holds_no_password(parts: FakeParts) -> None:
    opened = parts.project
    for url, shown in (
        ("", "sqlite:////data/fähre ü/fieldloop.db"),
        ("postgresql+psycopg://ann:hush@host/loop", "postgresql+psycopg://ann:***@host/loop"),
    ):
        settings = opened.settings.model_copy(update={"database_url": url})
        assert public_database_url(Project(Path("/data/fähre ü"), settings, opened.engine)) == shown
