"""The guideline as it is now, the wordings that labelers were shown, and what is wrong with both."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from db.engine import read
from db.guidelines import answers_by_guideline, guidelines, outdated_frames
from loop.base.errors import ConfigError
from loop.base.markdown import as_html
from loop.base.moments import MINUTE, shown
from loop.base.wording import counted, either, listed
from loop.insights.frame_query import OUTDATED, frames_url
from loop.labeling.showing import anything_to_show, guideline_of
from loop.project.guideline import PLACE
from loop.project.guideline import shown as told
from loop.project.project import Project

HERE = "/labels/guideline"
SHORT = 8
"""Digits of a version that people read."""


@dataclass(frozen=True, slots=True)
class Version:
    """One showing of one wording.

    sha256: of the text. shown: since when, in the project's zone. answers: given by it. now: labelers see it.
    """

    sha256: str
    shown_at: datetime
    shown: str
    answers: int
    now: bool

    @property
    def name(self) -> str:
        return self.sha256[:SHORT]


@dataclass(frozen=True, slots=True)
class GuidelineView:
    """file: its path. text: as it is now; html: what labelers see of it.

    lacking: topics without an answer, questions: what each asks. undefined: classes without a definition.
    waiting: labelers see another wording, or none.
    versions: the newest first. unknown: answers that were given before any was shown.
    outdated: labels that were given by another wording than the one shown now; outdated_url: their frames.
    """

    file: str
    version: str
    text: str
    html: str
    lacking: tuple[str, ...]
    questions: dict[str, str]
    undefined: tuple[str, ...]
    waiting: bool
    versions: tuple[Version, ...]
    unknown: int
    outdated: int
    outdated_url: str = frames_url(label=OUTDATED)


def guideline_view(project: Project) -> GuidelineView:
    """Raises ConfigError where the file cannot be read."""
    is_now = guideline_of(project)
    waiting = anything_to_show(project)
    with read(project.engine) as session:
        rows, given = guidelines(session), answers_by_guideline(session)
        outdated = len(outdated_frames(session))
    zone = project.settings.frames.timezone
    versions = [
        Version(row.sha256, row.shown_at, shown(row.shown_at, zone, MINUTE), given.get(row.id, 0), at == 0)
        for at, row in enumerate(reversed(rows))
    ]
    return GuidelineView(
        file=str(project.root / PLACE),
        version=is_now.sha256,
        text=is_now.text,
        html=as_html(told(is_now), top=3),
        lacking=is_now.lacking,
        questions=is_now.questions,
        undefined=is_now.undefined,
        waiting=waiting,
        versions=tuple(versions),
        unknown=given.get(None, 0),
        outdated=outdated,
    )


def in_words(project: Project) -> list[tuple[str, str, float]]:
    """What is wrong: a sentence, what to do, and how bad it is, 0..1."""
    try:
        found = guideline_view(project)
    except ConfigError as error:
        return [(f"The guideline cannot be read: {error}", "mend the file", 0.5)]
    said = []
    if found.undefined:
        names = listed(found.undefined, 5)
        what = either(len(found.undefined), "Class", "Classes")
        text = f"{what} without a definition in the guideline: {names}"
        said.append((text, "define what counts", 0.35))
    if found.lacking:
        topics = ", ".join(found.lacking)
        said.append((f"The guideline says nothing of {topics}", "answer its questions", 0.3))
    if found.waiting:
        said.append(("The guideline was changed and labelers do not see it yet", "push it", 0.25))
    if found.outdated:
        labels = counted(found.outdated, "label")
        said.append((f"{labels} given by another guideline than labelers see now", "look at them", 0.2))
    return said


def lines(found: GuidelineView) -> list[str]:
    """For the terminal."""
    said = [f"the guideline is {found.file}, version {found.version[:SHORT]}"]
    said += [f"no definition: {', '.join(found.undefined)}"] if found.undefined else []
    said += [
        f"{topic}: nothing is said yet. {found.questions.get(topic, '')}".strip() for topic in found.lacking
    ]
    said += ["labelers do not see it as it is now; `fieldloop push` shows it"] if found.waiting else []
    for one in found.versions:
        now = ", now" if one.now else ""
        said.append(f"version {one.name}: shown since {one.shown}{now}, {counted(one.answers, 'answer')}")
    said += [f"{counted(found.unknown, 'answer')} given before any was shown"] if found.unknown else []
    if found.outdated:
        said.append(f"{counted(found.outdated, 'label')} given by another wording: {found.outdated_url}")
    return said
