"""The door to Label Studio's API: one client, and every failure in our own words."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, cast
from urllib.parse import urlsplit

import httpx
from label_studio_sdk import LabelStudio as Client
from label_studio_sdk.core.api_error import ApiError

from connectors.errors import LabelStudioDown, LabelStudioError, ProjectGone, TokenRefused

WRITE: dict[str, Any] = {"max_retries": 0, "timeout_in_seconds": 300}
"""Request options of everything that changes something: a repeated import would make every task
twice.
"""


class Rejected(LabelStudioError):
    """400: this request will never be accepted as it is."""


def connect(url: str, token: str, timeout: float, heard: Callable[[httpx.Response], None]) -> Client:
    """A client for a legacy token or a personal access token (which it refreshes itself). Speaks
    with nobody yet.

    heard: told of every response.
    """
    _require_url(url)
    if not token.isascii() or not token.isprintable() or not token.strip():
        raise TokenRefused(
            f"expected the token that {url} shows under Account & Settings, got"
            f" {'none' if not token.strip() else 'other characters'}; next: copy it once more"
        )
    # A proxy of the environment cannot reach a loopback server.
    http = httpx.Client(
        timeout=timeout,
        follow_redirects=False,
        trust_env=not _is_loopback(url),
        event_hooks={"response": [heard]},
    )
    with translated(url, "the token's expiry"):
        return Client(base_url=url, api_key=token.strip(), httpx_client=http, max_retries=0)


@contextmanager
def translated(url: str, what: str, project_id: int | None = None) -> Iterator[None]:
    """Raises LabelStudioDown, TokenRefused, ProjectGone, Rejected or LabelStudioError for what the
    SDK and httpx raise.
    """
    try:
        yield
    except ApiError as error:
        if error.status_code == 429:
            raise _too_many(url, what, error.headers) from None
        raise _from_status(error.status_code or 0, error.body, url, what, project_id) from None
    except httpx.TimeoutException as error:
        raise LabelStudioDown(
            f"expected {what} from Label Studio at {url}, got no answer in time ({type(error).__name__}); "
            "next: it may have been done all the same, so look with `find` before repeating it"
        ) from error
    except httpx.HTTPError as error:
        raise LabelStudioDown(
            f"expected {what} from Label Studio at {url}, got no connection ({error}); "
            "next: start it (`fieldloop labelstudio start`) or mend the URL; the work stays queued"
        ) from error


def time_of(response: httpx.Response) -> datetime | None:
    """The server's clock when it answered, to the second; None where it does not say."""
    try:
        time = parsedate_to_datetime(response.headers.get("date", ""))
    except ValueError:
        return None
    return time.astimezone(UTC) if time.tzinfo else time.replace(tzinfo=UTC)


def post_files(
    client: Client, path: str, files: Mapping[str, tuple[str, bytes]], params: Mapping[str, str]
) -> dict[str, Any]:
    """A multipart POST with the client's authentication; the SDK's own method for it sends no
    files.
    """
    response = client._client_wrapper.httpx_client.request(
        path, method="POST", files=dict(files), params=dict(params), request_options=WRITE
    )
    answer = _json_or_text(response)
    if response.status_code >= 300 or not isinstance(answer, dict):
        raise ApiError(status_code=response.status_code, headers=dict(response.headers), body=answer)
    return cast(dict[str, Any], answer)


def _from_status(status: int, body: object, url: str, what: str, project_id: int | None) -> LabelStudioError:
    got = f"got HTTP {status}: {_detail(body)}"
    expected = f"expected {what} from Label Studio at {url}"
    if status in (401, 403):
        return TokenRefused(
            f"{expected}, {got}; next: copy the token of a user who may do this from Account & Settings in"
            " Label Studio"
        )
    if status == 404 and project_id is not None and isinstance(body, Mapping):
        return ProjectGone(
            f"expected project {project_id} in Label Studio at {url}, {got}; next: restore it or use a token"
            " that may see it, or make a new project on purpose (`fieldloop push --new-project`); nothing is"
            " made again by itself"
        )
    if status >= 500:
        return LabelStudioDown(f"{expected}, {got}; next: wait and look with `find` before repeating it")
    if status == 400:
        return Rejected(f"{expected}, {got}; next: mend what it names")
    return LabelStudioError(
        f"{expected}, {got}; next: check that the URL is Label Studio's own address, without a redirect"
    )


def _too_many(url: str, what: str, headers: Mapping[str, str] | None) -> LabelStudioDown:
    said = {name.lower(): value for name, value in (headers or {}).items()}.get("retry-after")
    wait = f"wait {said} s" if said and said.isdigit() else "wait a minute"
    return LabelStudioDown(
        f"expected {what} from Label Studio at {url}, got HTTP 429: too many requests; next: {wait}, then run"
        " this again; the work stays queued"
    )


def _detail(body: object) -> str:
    if isinstance(body, Mapping):
        parts = (body.get("detail"), body.get("validation_errors"), body.get("error"))
        text = "; ".join(str(part) for part in parts if part) or str(dict(body))
    else:
        text = str(body or "").strip()
        text = "a web page instead of data" if text[:1] == "<" else text
    return text[:400] or "nothing more"


def _json_or_text(response: httpx.Response) -> object:
    try:
        return response.json()
    except ValueError:
        return response.text


def _require_url(url: str) -> None:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise LabelStudioError(
            f"expected Label Studio's URL as http(s)://host[:port], got {url!r}; next: copy it from the"
            " browser"
        )
    if parts.username or parts.password:
        raise LabelStudioError(
            "expected Label Studio's URL without a user or password in it; next: give the token instead"
        )


def _is_loopback(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
