"""Jobs of the running service, as people start, pause and resume them."""

from __future__ import annotations

from typing import Protocol

from db.engine import write
from loop.changes.audit import Who, note
from loop.project.project import Project


class Jobs(Protocol):
    """The running service. Each raises ConfigError for a job that there is not."""

    def run_now(self, job: str) -> None: ...

    def pause(self, job: str) -> None: ...

    def resume(self, job: str) -> None: ...


def run_now(project: Project, jobs: Jobs, who: Who, job: str) -> None:
    """Raises ConfigError."""
    jobs.run_now(job)
    _note(project, who, "job started", job)


def pause(project: Project, jobs: Jobs, who: Who, job: str) -> None:
    """Until it is resumed, over restarts. Raises ConfigError."""
    jobs.pause(job)
    _note(project, who, "job paused", job)


def resume(project: Project, jobs: Jobs, who: Who, job: str) -> None:
    """Raises ConfigError."""
    jobs.resume(job)
    _note(project, who, "job resumed", job)


def _note(project: Project, who: Who, what: str, job: str) -> None:
    with write(project.engine) as session:
        note(session, who, what, f"job {job}")
