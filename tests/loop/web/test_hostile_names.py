"""What strangers named shows as text on every page, and no page has a place where it could be more."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update
from starlette.testclient import TestClient

from db.engine import write
from db.facts import set_fact
from db.leases import note_run
from db.states import Origin
from db.tables import Frame, Group, LabelTask, Model, Reject, Round, Slice, utcnow
from loop.changes.audit import Who, note
from loop.project.project import Project, open_project
from loop.rounds import rounds
from tests.fakes import FakeParts, copy_linked
from tests.loop.web.addresses import PAGES
from tests.loop.web.worker import FakeWorker, browsing

HOSTILE = "<script>alert(1)</script>"
SHOWN = "&lt;script&gt;alert(1)&lt;/script&gt;"
QUOTED = "\" onload='alert(1)' x="
HTML_BYTES = 60_000
"""More than that no page sends."""


@pytest.fixture(scope="module")
def hostile(chosen_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """A project in which everything that bears a name bears this one."""
    folder = tmp_path_factory.mktemp("hostile")
    copy_linked(chosen_template, folder)
    shutil.rmtree(folder / "project" / "index", ignore_errors=True)
    project = open_project(folder / "project")
    rounds.start(FakeParts(project))
    rounds.cancel(FakeParts(project))
    with write(project.engine) as session:
        here = Frame.origin == Origin.PRODUCTION
        session.execute(update(Frame).where(here).values(camera=HOSTILE, site=HOSTILE + QUOTED))
        session.execute(update(Frame).values(source_key=HOSTILE + QUOTED + Frame.source_key))
        session.execute(update(Group).values(key=HOSTILE + Group.key))
        session.execute(update(Slice).values(name=HOSTILE + QUOTED, given_name=HOSTILE + QUOTED))
        session.execute(update(LabelTask).values(reason=HOSTILE + QUOTED))
        session.execute(update(Model).values(classes=[HOSTILE, QUOTED]))
        session.execute(update(Round).values(error=HOSTILE + QUOTED))
        set_fact(session, "classes", json.dumps([HOSTILE, QUOTED]))
        session.add(Reject(source_key=HOSTILE + QUOTED, content_hash="0" * 64, code="no", reason=HOSTILE))
        note_run(session, "push", utcnow(), "failed", HOSTILE + QUOTED)
        note(
            session,
            Who(HOSTILE, "page"),
            HOSTILE,
            QUOTED,
            {HOSTILE: QUOTED},
            {QUOTED: [HOSTILE, {"a": QUOTED}]},
        )
    settings = project.settings.model_copy(update={"name": HOSTILE + QUOTED})
    yield Project(project.root, settings, project.engine)
    project.engine.dispose()


class Tags(HTMLParser):
    """Every tag with its attributes; what is wrong with them, and what stands in forms."""

    def __init__(self) -> None:
        super().__init__()
        self.wrong: list[str] = []
        self.open_form = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if len(given) < len(attrs):
            self.wrong.append(f"{tag} has an attribute twice: {attrs}")
        self.wrong += [
            f"{tag} {name}" for name in given if name.startswith(("on", "hx-on")) or name == "style"
        ]
        if tag in ("iframe", "object", "embed", "base", "style"):
            self.wrong.append(tag)
        if tag == "script" and not str(given.get("src")).startswith("/static/"):
            self.wrong.append(f"script {given}")
        links = [
            given.get(name) or "" for name in ("href", "src", "action", "formaction", "hx-get", "hx-post")
        ]
        self.wrong += [
            link
            for link in links
            if not re.match(r"(/(?!/)|#|\?|data:,|http://localhost[:/]|http://studio/projects/\d|$)", link)
        ]
        if tag == "img" and "alt" not in given:
            self.wrong.append(f"img without alt {given}")
        if tag == "form" and (given.get("method") or "get").lower() == "post":
            self.open_form = given.get("action") or "a form without action"
        if tag == "input" and given.get("name") == "csrf":
            self.open_form = ""

    def handle_endtag(self, tag: str) -> None:
        if tag == "form" and self.open_form:
            self.wrong.append(f"the form of {self.open_form} has no token")
            self.open_form = ""


def faults(text: str) -> list[str]:
    found = Tags()
    found.feed(text)
    return found.wrong


def browser(project: Project) -> TestClient:
    def health() -> dict[str, Any]:
        return FakeWorker().said() | {"ok": False, "problems": [HOSTILE + QUOTED], "notes": [HOSTILE]}

    asked = browsing(FakeParts(project), FakeWorker(said=health))
    csrf = re.search('name="csrf" value="([^"]+)"', asked.get("/sign-in").text)
    assert csrf is not None
    asked.post("/sign-in", data={"csrf": csrf[1], "name": HOSTILE})
    return asked


@pytest.mark.parametrize("address", PAGES)
def test_a_hostile_name_is_text(hostile: Project, address: str) -> None:
    answer = browser(hostile).get(address)
    assert answer.status_code == 200
    assert "<script>alert" not in answer.text
    assert "onload='" not in answer.text
    assert SHOWN in answer.text
    assert faults(answer.text) == []


@pytest.mark.parametrize("address", PAGES)
def test_a_page_has_no_place_for_scripts_and_is_small(full: Project, address: str) -> None:
    answer = browsing(FakeParts(full), FakeWorker()).get(address)
    assert answer.status_code == 200
    assert faults(answer.text) == []
    assert len(answer.content) <= HTML_BYTES


@pytest.mark.parametrize(
    "asked", ["<script>alert(1)</script>", "%3Cscript%3Ealert(1)%3C/script%3E", "\" onload='x'"]
)
def test_what_an_address_asks_for_is_text(full: Project, asked: str) -> None:
    there = browsing(FakeParts(full), FakeWorker())
    for address in (
        f"/{asked}",
        f"/changes?before={asked}",
        f"/changes?subject={asked}",
        f"/sign-in?next={asked}",
    ):
        answer = there.get(address)
        assert "<script>alert" not in answer.text
        assert faults(answer.text) == []


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("<script>x</script>", 1),
        ("<p onclick=x style=y>", 2),
        ("<form method=post action=/x></form>", 1),
        ("<form method=post action=/x><input name=csrf></form>", 0),
        ("<a href='javascript:x'>", 1),
        ("<img src=//evil.example/x>", 2),
        ("<style>", 1),
    ],
)
def test_faults_are_seen(text: str, count: int) -> None:
    assert len(faults(text)) == count
