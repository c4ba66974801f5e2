"""What an address says, read from the request as it came: no header changes where it leads."""

from __future__ import annotations

import re
from urllib.parse import quote, urlencode, urlsplit

from starlette.convertors import Convertor, register_url_convertor
from starlette.requests import Request

API = "/api/"
HOST = re.compile(r"(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9._-]+)(:[0-9]{1,5})?")


class Number(Convertor[int]):
    """{name:number} of a route: a whole number that a database can hold; other addresses lead nowhere."""

    regex = "[0-9]{1,18}"

    def convert(self, value: str) -> int:
        return int(value)

    def to_string(self, value: int) -> str:
        return str(value)


register_url_convertor("number", Number())


def path_of(request: Request) -> str:
    """By which routes are found."""
    path: str = request.scope["path"]
    return path


def is_of_programs(path: str) -> bool:
    """Whether a program asks, which reads problem bodies and no pages."""
    return f"{path}/".startswith(API)


def host_of(request: Request) -> str:
    """The name that whoever asks knows us by, "" where the request gives none that is one."""
    given = request.headers.get("host", "")
    return (urlsplit(f"//{given}").hostname or "") if HOST.fullmatch(given) else ""


def within(path: str, query: str = "") -> str:
    """As a link that stays on these pages: //name would lead to another host."""
    return "/" + path.lstrip("/\\") + (f"?{query}" if query else "")


def asked_of(request: Request) -> str:
    """What was asked for, as a link; without a token."""
    left = [(key, value) for key, value in request.query_params.multi_items() if key != "token"]
    return within(quote(path_of(request)), urlencode(left))
