"""Jobs of the running service, as people start, pause and resume them."""

from __future__ import annotations

from typing import Any, Protocol

from db.engine import write
from loop.changes.audit import Who, note
from loop.project.project import Project


class Jobs(Protocol):
    """The running service. Each raises ConfigError for a job that there is not."""

    def health(self) -> dict[str, Any]: ...

    def run_now(self, job: str) -> None: ...

    def pause(self, job: str) -> None: ...

    def resume(self, job: str) -> None: ...


def run_now(project: Project, jobs: Jobs, who: Who, job: str) -> None:
    """Raises ConfigError."""
    jobs.run_now(job)
    _note(project, who, "job started", job)


def pause(project: Project, jobs: Jobs, who: Who, job: str) -> None:
    """Until it is resumed, over restarts. Raises ConfigError."""
    before = is_paused(jobs, job)
    jobs.pause(job)
    if not before:
        _note(project, who, "job paused", job, {"paused": False}, {"paused": True})


def resume(project: Project, jobs: Jobs, who: Who, job: str) -> None:
    """Raises ConfigError."""
    before = is_paused(jobs, job)
    jobs.resume(job)
    if before:
        _note(project, who, "job resumed", job, {"paused": True}, {"paused": False})


def is_paused(jobs: Jobs, job: str) -> bool:
    """Whether a person keeps it from running; False for a job that there is not."""
    state = jobs.health()["jobs"].get(job)
    return state is not None and state.paused_at is not None


def _note(
    project: Project,
    who: Who,
    what: str,
    job: str,
    before: dict[str, bool] | None = None,
    after: dict[str, bool] | None = None,
) -> None:
    with write(project.engine) as session:
        note(session, who, what, f"job {job}", before, after)
