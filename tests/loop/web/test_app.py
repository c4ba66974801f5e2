"""The pages with an empty and a full project, and who may see them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from loop.base.errors import ConfigError
from loop.project.project import Project
from loop.project.training_settings import trained_line
from loop.web.guard import TOKEN, is_loopback, token_for
from tests.fakes import FakeParts, make_project
from tests.loop.judged import run, started
from tests.loop.web.worker import OUTSIDE, SECRET, client, csrf_of, exposed, well


@pytest.mark.parametrize("path", ["/", "/rounds", "/healthz", "/api/status"])
def test_pages_of_an_empty_project(empty: Project, path: str) -> None:
    answer = client(empty).get(path)
    assert answer.status_code == 200
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "default-src 'none'" in answer.headers["content-security-policy"]


def test_the_status_page_shows_every_step(full: Project) -> None:
    text = client(full).get("/").text
    for said in (
        "42",
        "1 not an image",
        "of 74",
        "3/9 frames",
        "round by date",
        "Label Studio does not answer",
        "&lt;b&gt;broken.jpg",
        "cancelled",
        "http://localhost:8080/projects/",
    ):
        assert said in text
    assert "<b>broken" not in text


def test_the_models_page_shows_rounds_and_checkpoints(full: Project) -> None:
    text = client(full).get("/rounds").text
    assert "Round&nbsp;1" in text
    assert "the team" in text


def test_the_models_page_shows_what_a_round_was_trained_with(labeled: FakeParts) -> None:
    row = run(started(labeled, lr0=0.02))
    text = client(labeled.project).get("/rounds/1").text
    assert trained_line(row.settings).startswith("trained with AdamW, learning rate 0.02, ")
    assert trained_line(row.settings) in text


def test_the_former_page_of_gaps_leads_to_coverage(full: Project) -> None:
    answer = client(full).get("/gaps")
    assert (answer.status_code, answer.headers["location"]) == (308, "/coverage")


def test_the_status_for_programs(full: Project) -> None:
    found = client(full).get("/api/status").json()
    assert found["frames"]["production"] == 42
    assert found["jobs"]["push"]["outcome"] == "waiting"
    assert found["service_state"]["jobs"]["ingest"]["now"] == "3/9 frames"


@pytest.mark.parametrize(("ok", "code"), [(True, 200), (False, 503)])
def test_health(empty: Project, ok: bool, code: int) -> None:
    answer = client(empty, lambda: well() | {"ok": ok}).get("/healthz")
    assert answer.status_code == code
    assert answer.json()["ok"] is ok
    assert answer.json()["jobs"]["ingest"]["checked_at"] == "2026-05-01T00:00:00+00:00"


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.0.0.9", "::1", "[::1]"])
def test_loopback_needs_no_token(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(TOKEN, raising=False)
    assert is_loopback(host)
    assert token_for(host) == ""


@pytest.mark.parametrize(("token", "what"), [("", "none"), ("short", "a shorter one")])
@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.4", "box.example.org", ""])
def test_beyond_loopback_a_token_is_asked_for(
    host: str, token: str, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(TOKEN, token)
    with pytest.raises(ConfigError, match=rf"web\.host: expected a loopback address, .* and {what}; make"):
        token_for(host)


@pytest.mark.parametrize("host", ["evil.example", "localhost.evil.example", "testserver", "10.0.0.4"])
def test_other_names_of_this_machine_are_refused(empty: Project, host: str) -> None:
    answer = client(empty).get("/", headers={"host": host})
    assert answer.status_code in (400, 421)
    assert empty.settings.name not in answer.text


@pytest.mark.parametrize("base", ["http://127.0.0.1:8765", "http://[::1]:8765", "http://127.0.0.9"])
def test_loopback_addresses_are_answered(empty: Project, base: str) -> None:
    assert client(empty, base_url=base).get("/healthz").status_code == 200


@pytest.mark.parametrize("path", ["/", "/gaps", "/rounds", "/healthz", "/api/status", "/nothing"])
def test_without_the_token_nothing_is_shown(
    full: Project, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(TOKEN, SECRET)
    outside = client(exposed(full), base_url=OUTSIDE)
    for headers in ({}, {"authorization": "Bearer wrong"}, {"cookie": "fieldloop_token=wrong"}):
        answer = outside.get(path, headers=headers)
        assert answer.status_code == 401
        assert SECRET not in answer.text
    assert outside.get(path, headers={"authorization": f"Bearer {SECRET}"}).status_code != 401


def test_the_token_in_the_address_becomes_a_cookie(full: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(TOKEN, SECRET)
    outside = client(exposed(full), base_url=OUTSIDE)
    entered = outside.get(f"/rounds?token={SECRET}")
    assert (entered.status_code, entered.headers["location"]) == (303, "/rounds")
    assert "HttpOnly" in entered.headers["set-cookie"]
    assert outside.get("/rounds").status_code == 200


def test_the_token_leads_to_no_other_site(full: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(TOKEN, SECRET)
    outside = client(exposed(full), base_url=OUTSIDE)
    answer = outside.get(f"http://box.example.org//evil.example/?token={SECRET}")
    assert answer.headers["location"] == "/evil.example/"


def test_nothing_can_be_written_without_a_form(full: Project) -> None:
    for method in ("POST", "PUT", "DELETE"):
        asked = client(full)
        assert asked.request(method, "/").status_code == 403
        assert asked.request(method, "/", headers={"x-csrf-token": csrf_of(asked)}).status_code == 405


def test_files_are_not_served(full: Project) -> None:
    for path in ("/../fieldloop.yaml", "/%2e%2e/fieldloop.yaml", "/gaps/../../fieldloop.yaml"):
        assert client(full).get(path).status_code == 404


def test_what_is_not_well_stands_on_the_page_and_in_the_api(full: Project) -> None:
    ill = well() | {"ok": False, "problems": ["expected to write in <b>here</b>, got: No space left"]}
    asked = client(full, lambda: ill)
    page = asked.get("/").text
    assert "expected to write in &lt;b&gt;here&lt;/b&gt;, got: No space left" in page
    assert "not well" in page
    assert asked.get("/api/status").json()["service_state"]["problems"] == ill["problems"]
    assert asked.get("/healthz").json()["problems"] == ill["problems"]


def test_a_database_that_cannot_be_read_is_said_on_every_page(tmp_path: Path) -> None:
    project = make_project(tmp_path / "project")
    project.engine.dispose()
    (project.root / "fieldloop.db").write_bytes(b"noise" * 4096)
    asked = client(project)
    for path in ("/", "/rounds"):
        answer = asked.get(path)
        assert answer.status_code == 503
        assert "file is not a database; it is damaged" in answer.text
    assert "it is damaged" in asked.get("/api/status").json()["error"]
    assert asked.get("/healthz").status_code == 200
    project.engine.dispose()


def test_held_out_images_of_the_imported_dataset_are_no_training_set(full: Project) -> None:
    labels = client(full).get("/api/status").json()["labels"]
    assert (labels["imported"], labels["imported_to_judge"]) == (24, 8)
    page = re.sub(r"<[^>]+>", "", client(full).get("/").text)
    assert "24 imported, 0 labeled since; 8 more judge models" in page
