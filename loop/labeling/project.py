"""The Label Studio project of this fieldloop project: which one it is."""

from __future__ import annotations

from db.engine import read, write
from db.facts import get_fact, set_fact
from loop.project.project import Project

PROJECT_FACT = "label_studio_project"


def label_studio_project(project: Project) -> int | None:
    """Its number: what the settings name, else what the last push made. None before the first push."""
    with read(project.engine) as session:
        fact = get_fact(session, PROJECT_FACT)
    return project.settings.label_studio.project_id or (int(fact) if fact else None)


def remember_project(project: Project, number: int) -> None:
    """Pushes and pulls go to that project from now on, where the settings name none."""
    with write(project.engine) as session:
        set_fact(session, PROJECT_FACT, str(number))
