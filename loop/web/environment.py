"""What all pages are rendered with."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from jinja2 import Environment, PackageLoader, select_autoescape

from loop.base.moments import MINUTE, SECOND, TIME_OF_DAY, lasting, shown
from loop.base.printable import printable
from loop.base.wording import counted
from loop.insights.frame_query import frames_url


def page_environment(timezone: str) -> Environment:
    """The templates, all of them in memory, so that a page can be shown when no more files can be
    opened.

    timezone: frames.timezone; the filters minute, second and time_of_day show an aware time in it.
    Control characters of what strangers wrote are escaped.
    """
    pages = Environment(
        loader=PackageLoader("loop.web"),
        autoescape=select_autoescape(),
        auto_reload=False,
        finalize=_without_controls,
    )
    for name, form in {"minute": MINUTE, "second": SECOND, "time_of_day": TIME_OF_DAY}.items():
        pages.filters[name] = _in_zone(timezone, form)
    pages.filters["counted"] = counted
    pages.filters["ago"] = _ago
    pages.globals["frames_url"] = frames_url
    for name in pages.list_templates(extensions=["html"]):
        pages.get_template(name)
    return pages


def _ago(moment: datetime) -> str:
    return f"{lasting((datetime.now(UTC) - moment).total_seconds())} ago"


def _in_zone(timezone: str, form: str) -> Callable[[datetime], str]:
    def filtered(moment: datetime) -> str:
        return shown(moment, timezone, form)

    return filtered


def _without_controls(value: object) -> object:
    """Text alone; what is marked as HTML is ours."""
    return printable(value, line_ends=True) if type(value) is str else value
