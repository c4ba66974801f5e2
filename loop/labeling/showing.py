"""What labelers are told in Label Studio: the instructions of the settings, then the guideline.

A push shows what the file holds now. Each wording is kept with the time from which it was shown, so that
every answer can say which one it followed.
"""

from __future__ import annotations

from html import escape

from connectors.ports import LabelBackend
from db.engine import read, write
from db.guidelines import guideline_at, note_shown
from db.tables import utcnow
from loop.base.markdown import as_html
from loop.labeling.project import holding_project
from loop.project.guideline import Guideline, ensure_guideline, read_guideline, shown
from loop.project.project import Project


def guideline_of(project: Project) -> Guideline:
    """The guideline of the project as its file is now. Raises ConfigError."""
    return read_guideline(project.root, project.classes)


def guideline_to_show(project: Project) -> Guideline:
    """The same; a project without the file gets it. Raises ConfigError."""
    ensure_guideline(project.root, project.classes)
    return guideline_of(project)


def instructions(project: Project, guideline: Guideline) -> str:
    """HTML for Label Studio; "" where nothing is settled yet."""
    given = project.settings.label_studio.instructions
    lines = (f"<p>{escape(line, quote=False)}</p>" for line in given.splitlines() if line.strip())
    own = given if "<" in given else "\n".join(lines)
    return "\n".join(part for part in (own, as_html(shown(guideline), top=2)) if part)


def note_guideline(project: Project, backend: LabelBackend, guideline: Guideline) -> bool:
    """Labelers see it from now on, by the server's clock; whether they saw another before."""
    with write(project.engine) as session:
        return note_shown(session, guideline.sha256, guideline.text, backend.clock or utcnow())


def anything_to_show(project: Project) -> bool:
    """Whether the file says something else than labelers are shown."""
    if holding_project(project) is None:
        return False
    with read(project.engine) as session:
        newest = guideline_at(session, None)
    return newest is None or newest.sha256 != guideline_of(project).sha256
