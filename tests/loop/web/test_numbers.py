"""Every number on every page leads to the set behind it, and that set holds as many."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from starlette.testclient import TestClient

from db.engine import read, write
from db.labels import set_label
from db.slices import slices
from db.tasks import tasks
from loop.insights.bias import survey
from loop.insights.frame_query import FrameQuery
from loop.insights.frames import frame_sets
from loop.project.project import open_project
from loop.rounds import rounds
from loop.rounds.suspects import judge_labels
from tests.fakes import FakeParts, copy_linked, quiet
from tests.loop.judged import run, started
from tests.loop.web.addresses import PAGES
from tests.loop.web.worker import FakeWorker, browsing

UNITS = "frames?|tasks?|labels?|labeled|unlabeled|boxes|box|objects?|files?|images?|answered|skipped"
COUNTED = re.compile(rf"(?<![\w.:/#+×-])(\d[\d,]*)(?![\w.:/]|-\d| ?%)(?=(?: [a-z-]+){{0,3}}? (?:{UNITS})\b)")
ALONE = re.compile(r"\d[\d,]*")
UNSAID = {"script", "style", "svg", "select", "time", "code", "title", "textarea", "summary", "noscript"}
FIRST = re.compile(r"(?:and |all |show all )?(\d[\d,]*)(?! ?%|[.:/-])(?=\s|$)", re.IGNORECASE)
VOID = {"input", "img", "br", "meta", "link", "hr"}
BLOCKS = {
    "p",
    "li",
    "td",
    "th",
    "div",
    "h1",
    "h2",
    "h3",
    "caption",
    "figcaption",
    "article",
    "section",
    "form",
    "small",
    "table",
}
"""Text within one of these is read as a whole."""


@dataclass(frozen=True)
class Told:
    """A number of a page: what stands around it, and the address that it leads to, "" for none."""

    number: int
    around: str
    link: str


class Numbers(HTMLParser):
    """Every count of a page: a number before a unit, or one that is all that a cell or a link says."""

    def __init__(self) -> None:
        super().__init__()
        self.told: list[Told] = []
        self.links: list[tuple[str, str]] = []
        self._unsaid = 0
        self._link = ""
        self._block: list[tuple[str, str]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag in VOID:
            return
        if tag in UNSAID:
            self._unsaid += 1
        if tag in BLOCKS:
            self._end()
        if tag == "a":
            self._link = given.get("href") or ""
            self.links.append((self._link, ""))

    def handle_endtag(self, tag: str) -> None:
        if tag in UNSAID:
            self._unsaid -= 1
        if tag in BLOCKS:
            self._end()
        if tag == "a":
            self._link = ""

    def handle_data(self, data: str) -> None:
        if self._unsaid:
            return
        if self._link:
            self.links[-1] = self.links[-1][0], self.links[-1][1] + data
        self._block.append((re.sub(r"\s+", " ", data), self._link))

    def _end(self) -> None:
        text = "".join(part for part, _ in self._block)
        links = [link for part, link in self._block for _ in part]
        begins = len(text) - len(text.lstrip())
        found = list(COUNTED.finditer(text))
        if ALONE.fullmatch(text.strip()):
            found = list(ALONE.finditer(text, begins))
        self.told += [Told(int(m[0].replace(",", "")), text.strip(), links[m.start()]) for m in found]
        self._block = []


EXCEPTIONS = (
    ("/labels/suspects", "short, small models|could not be judged", "what judged the labels, in words"),
    ("/labels/suspects", "at most as many as labels.suspect_budget", "a setting"),
    ("/labels", "more likely wrong than right", "its action leads to the list of them"),
    ("/frames", r"[\d,]+ frames?$|[\d,]+ frames? of [\d,]+$", "the set that the page itself shows"),
    ("/frames/", r"^\d+$", "a strength or a measurement of the frame"),
    ("/frames/", r"^(?:label|labeled [a-z ]+|[a-z]+ model \d+): \d+ box", "drawn on the picture of the page"),
    ("/rejects", r"[\d,]+ files? rejected$", "the list that the page itself shows"),
    ("/coverage/compared", "production frames? against", "of an earlier date, whose frames are not kept"),
    ("/coverage", "about 30 labeled frames", "a rule, no count"),
    ("/coverage", "frames are analyzed by the current models", "a note; the overview leads to those frames"),
    ("/bias", "The detector looks at", "what would be done"),
    ("/bias", "fewer than", "a limit, no count"),
    ("/labels", "never inspected", "a finding; the page behind it leads to them"),
    ("/labels/lots", "in a second stage|annotators?|holds yet", "what would be drawn"),
    ("/rounds", "belonged to no accepted lot", "as it was when the dataset was frozen"),
    ("/rounds/start", "held out", "a forecast of what a verdict could show; frames held out so far"),
    (
        "/rounds",
        r"in an epoch, repeats counted|of \d+ groups?|epoch \d",
        "repeats, or the words of a verdict",
    ),
    ("/rounds", r"^\d+$", "a setting of the round"),
    (
        "/labels/effort",
        r"^\d+$",
        "answers and edits of a person, class, slice or model, which no address names",
    ),
    ("/labels/effort", r"until \d+ (?:tasks|edits)|from \d+ timed", "a rule, or timed answers"),
    ("/", r"epoch \d|of \d+ groups?", "the words of a verdict; its round stands beside them"),
    ("/labels/agreement", r"^Disputed: ", "objects of two answers; the frames stand beside them"),
    ("/labels/agreement", r"frames? of them,", "those of a class or of two people, which no address names"),
    ("/collections/", r"^\d+$", "frames by week, by the UTC days of camera-days"),
)
"""A page, what stands around a number on it that leads nowhere, and why."""


@pytest.fixture(scope="module")
def judged(labeled_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[FakeParts]:
    """All of production labeled, compared, a round judged, ties looked for."""
    folder = tmp_path_factory.mktemp("judged")
    for name in ("project", "incoming"):
        shutil.copytree(labeled_template / name, folder / name)
    parts = started(FakeParts(open_project(folder / "project")))
    run(parts)
    survey(parts, quiet)
    judge_labels(parts, quiet)
    yield parts
    parts.project.engine.dispose()


@pytest.fixture(scope="module")
def halfway(chosen_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[FakeParts]:
    """A batch of 12, half of it answered, compared; two files set aside."""
    folder = tmp_path_factory.mktemp("halfway")
    copy_linked(chosen_template, folder)
    parts = FakeParts(open_project(folder / "project"))
    with write(parts.project.engine) as session:
        for task in tasks(session)[::2]:
            set_label(session, task.frame, [], task.purpose, "annotation")
    rounds.start(parts)
    rounds.cancel(parts)
    survey(parts, quiet)
    yield parts
    parts.project.engine.dispose()


def pages_of(parts: FakeParts) -> list[str]:
    """All addresses that tests know, and one of each slice, round and side."""
    with read(parts.project.engine) as session:
        collections = [f"/collections/{row.id}" for row in slices(session) if row.kind == "collection"][:4]
    spreads = [f"/frames?spread={by}" for by in ("day", "class", "task", "origin", "error")]
    return [*PAGES, *collections, *spreads]


def numbers(asked: TestClient, page: str) -> Numbers:
    answer = asked.get(page)
    assert answer.status_code == 200, page
    found = Numbers()
    found.feed(answer.text)
    return found


def excepted(page: str, around: str) -> bool:
    path = urlsplit(page).path
    return any(
        (path == place or (len(place) > 1 and path.startswith(place.rstrip("/") + "/")))
        and re.search(pattern, around)
        for place, pattern, _ in EXCEPTIONS
    )


@pytest.mark.parametrize("name", ["judged", "halfway"])
def test_every_number_leads_somewhere(name: str, request: pytest.FixtureRequest) -> None:
    parts = request.getfixturevalue(name)
    asked = browsing(parts, FakeWorker(parts))
    bare = {
        (page, told.number, told.around)
        for page in pages_of(parts)
        for told in numbers(asked, page).told
        if not told.link and not excepted(page, told.around)
    }
    assert sorted(bare) == []


@pytest.mark.parametrize("name", ["judged", "halfway"])
def test_each_set_holds_as_many(name: str, request: pytest.FixtureRequest) -> None:
    parts = request.getfixturevalue(name)
    asked = browsing(parts, FakeWorker(parts))
    said = {
        (link, int(count[1].replace(",", ""))): (page, text)
        for page in pages_of(parts)
        for link, text in numbers(asked, page).links
        if (count := FIRST.match(text.strip())) and ("frame" in text or "object" not in text)
    }
    wrong = [
        (*where, link, number, size)
        for (link, number), where in said.items()
        if (size := size_of(parts, asked, link, boxes=where[0].startswith("/rounds/"))) not in (None, number)
    ]
    assert wrong == []
    assert len([link for link, _ in said if link.startswith("/frames")]) > 60


def size_of(parts: FakeParts, asked: TestClient, link: str, boxes: bool) -> int | None:
    """How many the set behind a link holds; None where it is no set, or where boxes are counted of it, of
    which a frame may hold several.
    """
    path, query = urlsplit(link).path, parse_qs(urlsplit(link).query)
    if path == "/frames" and not (boxes and "class" in query):
        return frame_sets(parts).find(FrameQuery.parse(link)).count
    if path in ("/queue", "/rejects"):
        text = asked.get(link).text
        assert 'rel="next"' not in text, "the test reads one page"
        return text.count("data-item")
    return None


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("<p>12 labeled frames</p>", [(12, "")]),
        ("<p><a href='/frames'>12 <b>held-out</b> frames</a></p>", [(12, "/frames")]),
        ("<td>7</td><td><a href='/x'>1,024</a></td>", [(7, ""), (1024, "/x")]),
        ("<td>7 %</td><p>2026-11-24</p><time>12 frames</time><p>model 3</p><p>0.5 of frames</p>", []),
        ("<p>1 of <a href='/y'>2 tasks</a></p>", [(2, "/y")]),
    ],
)
def test_numbers_are_seen(text: str, found: list[tuple[int, str]]) -> None:
    seen = Numbers()
    seen.feed(text)
    assert [(told.number, told.link) for told in seen.told] == found
