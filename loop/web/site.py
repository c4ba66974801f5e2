"""What every page is made with: the project, the running service, the templates, and who asks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Protocol

from jinja2 import Environment
from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse

from loop.changes.asking import ask_for
from loop.changes.audit import Who, at_the_terminal
from loop.insights.work import Submitted, WorkKind, one_submitted, submitted
from loop.project.project import Project
from loop.project.wiring import Parts
from loop.web.addresses import asked_of, is_of_programs, path_of, within
from loop.web.environment import page_environment
from loop.web.guard import form_of, session_of
from loop.web.session import Ended, Flash, Signer, kept_key
from loop.web.static_files import address_of

NAV = (
    ("Overview", "/"),
    ("Coverage", "/coverage"),
    ("Frames", "/frames"),
    ("Collections", "/collections"),
    ("Queue", "/queue"),
    ("Labels", "/labels"),
    ("Rounds & models", "/rounds"),
    ("Bias", "/bias"),
    ("Changes", "/changes"),
)
FLASH_LETTERS, FLASH_BYTES = 500, 3800
"""Browsers drop a cookie above 4096 bytes, its name and flags among them."""
TOO_MUCH = "That was too much at once for a way back here; the page Changes tells what it was."

__all__ = ["Flash", "Site", "Submitted", "WorkKind", "Worker", "form_of", "session_of"]


class Worker(Protocol):
    """The running service, as the pages use it."""

    def health(self) -> dict[str, Any]:
        """At least {"ok": bool, "problems": [sentence], "notes": [sentence], "jobs": {name: State},
        "label_studio": url}; asked at every request.
        """

    def ready(self) -> dict[str, str]:
        """What the work needs by name, each with why it is not ready, "" where it is: database, disk,
        leader, and label_studio where one is used.
        """

    def run_now(self, job: str) -> None:
        """Raises ConfigError for a job that there is not."""

    def pause(self, job: str) -> None:
        """Until it is resumed, over restarts. Raises ConfigError."""

    def resume(self, job: str) -> None:
        """Raises ConfigError."""

    def take_up(self) -> None:
        """Does in the background what people asked for."""

    def doing(self) -> Mapping[int, str]:
        """What of that is under way, by its number."""


class Site:
    """The pages of one project.

    parts: its connectors; worker: its running service.
    """

    def __init__(self, parts: Parts, worker: Worker, signer: Signer) -> None:
        self.parts = parts
        self.worker = worker
        self.signer = signer
        self.templates = templates_of(self.project)
        self.templates.globals["csrf"] = self.csrf

    @property
    def project(self) -> Project:
        return self.parts.project

    def render(self, request: Request, template: str, status: int = 200, **values: Any) -> HTMLResponse:
        """The page. Beside `values` a template has request, asked_for, name, health, who, nav, flash and the
        functions csrf(request) and static(name).
        """
        said = self.signer.flash_of(request.cookies.get(self.signer.flash_cookie, ""))
        shown = {
            "request": request,
            "asked_for": asked_of(request),
            "name": self.project.settings.name,
            "health": self.worker.health(),
            "who": self.who(request),
            "nav": NAV,
            "zone": self.project.settings.frames.timezone,
            "flash": said,
        }
        answer = HTMLResponse(self.templates.get_template(template).render(shown | values), status)
        if self.signer.flash_cookie in request.cookies:
            answer.delete_cookie(self.signer.flash_cookie, httponly=True, samesite="strict")
        return answer

    def done(
        self, request: Request, to: str, text: str, undo: str = "", fields: Mapping[str, str] | None = None
    ) -> RedirectResponse:
        """After a change: back to the page `to`, which says `text` once, with a form to `undo` where
        there is one and what it needs is not too long for a browser to keep.
        """
        flash = self.signer.cookie_of_flash(Flash(text[:FLASH_LETTERS], undo, tuple((fields or {}).items())))
        if len(flash) > FLASH_BYTES:
            flash = self.signer.cookie_of_flash(Flash(f"{text[:FLASH_LETTERS]} {TOO_MUCH}"))
        answer = RedirectResponse(within(to), 303)
        answer.set_cookie(
            self.signer.flash_cookie,
            flash,
            max_age=600,
            httponly=True,
            samesite="strict",
            secure=request.url.scheme == "https",
        )
        return answer

    def ask(self, request: Request, kind: WorkKind, title: str, **arguments: Any) -> int:
        """Has it done once in the background, even when the service stops before; the number of the work."""
        number = ask_for(self.project, self.who(request), kind, title, **arguments)
        self.worker.take_up()
        return number

    def submitted(self) -> list[Submitted]:
        """What people asked for, the latest first."""
        doing = self.worker.doing()
        return [replace(one, now=doing.get(one.id, "")) for one in submitted(self.project)]

    def work(self, number: int) -> Submitted:
        """Raises StateError for a number that there is not."""
        return replace(one_submitted(self.project, number), now=self.worker.doing().get(number, ""))

    def newest(self, kind: WorkKind) -> Submitted | None:
        """The work of this kind that was asked for last."""
        return next((one for one in self.submitted() if one.kind == kind), None)

    def soon(self, job: str) -> str:
        """Runs a job without waiting for its time, unless the settings never run it or somebody paused
        it; what to say of that, "" for nothing.
        """
        if not getattr(self.project.settings.schedule, job, ""):
            return f"schedule.{job} never runs by itself, so this waits for the command."
        state = self.worker.health()["jobs"].get(job)
        if state is not None and state.paused_at is not None:
            return f"The job {job} is paused, so this waits until it is resumed."
        self.worker.run_now(job)
        return ""

    def who(self, request: Request) -> Who:
        """Who asks, for the audit log."""
        via = "api" if is_of_programs(path_of(request)) else "page"
        return Who(session_of(request).name or at_the_terminal().name, via)

    def csrf(self, request: Request) -> Markup:
        """The hidden field that every form carries."""
        token = self.signer.form_token(session_of(request))
        return Markup('<input type="hidden" name="csrf" value="{}">').format(token)


def templates_of(project: Project) -> Environment:
    found = page_environment(project.settings.frames.timezone)
    found.globals["static"] = address_of
    return found


def signer_of(project: Project, token: str) -> Signer:
    return Signer(kept_key(project.pages / "session.key"), token, Ended(project.pages / "session.ended"))
