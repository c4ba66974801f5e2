"""Whether a request that changes something comes from our own pages."""

from __future__ import annotations

from urllib.parse import urlsplit

from starlette.requests import Request

SAFE = ("GET", "HEAD", "OPTIONS")
USUAL_PORTS = {"http": 80, "https": 443}


def comes_from_browser(request: Request) -> bool:
    """Browsers say where a request that changes something comes from; programs do not."""
    return any(name in request.headers for name in ("origin", "sec-fetch-site", "cookie", "referer"))


def comes_from_elsewhere(request: Request) -> str:
    """Where a request comes from when that is not our own page, "" otherwise."""
    site = request.headers.get("sec-fetch-site", "same-origin")
    if site not in ("same-origin", "none"):
        return site
    origin = request.headers.get("origin")
    if origin is None or _place(origin) == _place(
        f"{request.url.scheme}://{request.headers.get('host', '')}"
    ):
        return ""
    return origin


def _place(origin: str) -> tuple[str, int] | str:
    """Host and port. The scheme may differ, where a proxy before us ends TLS."""
    try:
        parts = urlsplit(origin)
        usual = parts.port is None or parts.port == USUAL_PORTS.get(parts.scheme)
        return (parts.hostname or origin, 0 if usual else parts.port or 0)
    except ValueError:
        return origin
