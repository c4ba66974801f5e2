"""The LabelBackend without a server: errors in our words, and the portions in which keys are looked
up.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from label_studio_sdk.core.api_error import ApiError

from connectors.errors import LabelStudioDown, LabelStudioError, ProjectGone, TokenRefused
from connectors.label_studio.backend import QUERY_CHARACTERS, QUERY_KEYS, LabelStudio, _chunks
from connectors.label_studio.client import Rejected, time_of, translated
from connectors.label_studio.images import LocalFiles

URL = "http://127.0.0.1:9"
TOKEN = "0123456789abcdef0123456789abcdef01234567"


def backend(**options: Any) -> LabelStudio:
    return LabelStudio(URL, options.pop("token", TOKEN), "upload", **options)


@pytest.mark.parametrize(
    ("raised", "expected", "text"),
    [
        (
            ApiError(status_code=401, body={"detail": "Invalid token."}),
            TokenRefused,
            "got HTTP 401: Invalid token.; next: copy the token",
        ),
        (
            ApiError(status_code=403, body={"detail": "No."}),
            TokenRefused,
            "got HTTP 403: No.; next: copy the token of a user who may",
        ),
        (
            ApiError(status_code=404, body={"detail": "No Project"}),
            ProjectGone,
            "expected project 7 in Label Studio at http://ls, got HTTP 404: No Project; next: restore it",
        ),
        (
            ApiError(status_code=404, body="<!doctype html>"),
            LabelStudioError,
            "got HTTP 404: a web page instead of data; next: check that the URL",
        ),
        (
            ApiError(status_code=200, body="\n<html>"),
            LabelStudioError,
            "got HTTP 200: a web page instead of data",
        ),
        (ApiError(status_code=302, body=""), LabelStudioError, "without a redirect"),
        (
            ApiError(status_code=500, body="<html>"),
            LabelStudioDown,
            "got HTTP 500: a web page instead of data; next: wait and look with `find`",
        ),
        (
            ApiError(status_code=400, body={"validation_errors": {"a": "b"}}),
            Rejected,
            "got HTTP 400: {'a': 'b'}; next: mend what it names",
        ),
        (
            httpx.ReadTimeout("slow"),
            LabelStudioDown,
            "got no answer in time (ReadTimeout); next: it may have been done all the same",
        ),
        (
            httpx.ConnectError("refused"),
            LabelStudioDown,
            "got no connection (refused); next: start it (`fieldloop labelstudio start`)",
        ),
        (httpx.RemoteProtocolError("cut"), LabelStudioDown, "got no connection (cut)"),
    ],
)
def test_every_failure_says_what_was_expected_what_came_and_what_to_do(
    raised: Exception, expected: type[LabelStudioError], text: str
) -> None:
    with pytest.raises(expected) as caught, translated("http://ls", "new tasks", 7):
        raise raised
    assert type(caught.value) is expected
    assert text in str(caught.value)
    assert str(caught.value).startswith("expected ")


@pytest.mark.parametrize(("headers", "wait"), [({"Retry-After": "17"}, "wait 17 s"), (None, "wait a minute")])
def test_too_many_requests_say_how_long_to_wait(headers: dict[str, str] | None, wait: str) -> None:
    said = f"got HTTP 429: too many requests; next: {wait}"
    with pytest.raises(LabelStudioDown, match=said), translated("http://ls", "new tasks"):
        raise ApiError(status_code=429, headers=headers, body="slow down")


def test_long_answers_are_cut() -> None:
    with pytest.raises(LabelStudioDown) as caught, translated("http://ls", "new tasks"):
        raise ApiError(status_code=502, body="x" * 100_000)
    assert len(str(caught.value)) < 600


def test_a_stopped_server_is_down_and_the_token_stays_out_of_it() -> None:
    with pytest.raises(LabelStudioDown, match=r"the work stays queued") as caught:
        backend().find(1, ["a"])
    assert TOKEN not in str(caught.value)
    assert repr(backend()) == f"LabelStudio('{URL}')"


@pytest.mark.parametrize("token", ["", "  ", "töken", "a\nb"])
def test_a_token_that_cannot_be_one_is_refused_at_once(token: str) -> None:
    with pytest.raises(
        TokenRefused, match=r"expected the token that .* shows under Account & Settings"
    ) as caught:
        backend(token=token)
    assert not token.strip() or token not in str(caught.value)


def test_an_expired_personal_token_is_refused_at_once() -> None:
    expired = "eyJhbGciOiJIUzI1NiJ9.eyJleHAiOjF9.c2ln"
    with pytest.raises(TokenRefused, match=r"HTTP 401: API key has expired") as caught:
        backend(token=expired)
    assert expired not in str(caught.value)


@pytest.mark.parametrize("url", ["127.0.0.1:8080", "", "file:///etc", "http://", "http://me:secret@host"])
def test_a_url_that_cannot_be_one_is_refused_at_once(url: str) -> None:
    with pytest.raises(LabelStudioError, match=r"expected Label Studio's URL") as caught:
        LabelStudio(url, TOKEN, "upload")
    assert "secret" not in str(caught.value)


def test_local_files_need_a_document_root() -> None:
    with pytest.raises(
        LabelStudioError, match=r"expected document_root, .* got none; next: give it, or use images: upload"
    ):
        LabelStudio(URL, TOKEN)


@pytest.mark.parametrize("image", ["elsewhere/a.jpg", "root/a.jpg", "root/frames/../../elsewhere/a.jpg"])
def test_an_image_that_label_studio_may_not_show_is_refused(tmp_path: Path, image: str) -> None:
    for folder in ("root/frames", "elsewhere"):
        (tmp_path / folder).mkdir(parents=True)
    with pytest.raises(
        LabelStudioError, match=r"expected an image in a folder below .*root, which Label Studio serves"
    ):
        LocalFiles(backend()._asking, tmp_path / "root").urls(1, [tmp_path / image])


def test_a_linked_root_is_the_same_root(tmp_path: Path) -> None:
    (tmp_path / "real/frames").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "real")
    files = LocalFiles(backend()._asking, tmp_path / "link")
    assert files._relative(tmp_path / "link/frames/a.jpg") == Path("frames/a.jpg")
    assert files._relative(tmp_path / "real/frames/a.jpg") == Path("frames/a.jpg")


@pytest.mark.parametrize("length", [1, 12, 64, 9000])
def test_keys_are_looked_up_in_portions_that_fit_a_request_line(length: int) -> None:
    keys = [f"{index:0{length}d}" for index in range(10 if length == 1 else 1500)][
        : 20 if length > 1000 else None
    ]
    chunks = [*_chunks([*keys, *keys])]
    assert [key for chunk in chunks for key in chunk] == keys
    assert max(map(len, chunks)) <= QUERY_KEYS
    assert all(len(chunk) == 1 or len(quote(json.dumps(chunk))) <= QUERY_CHARACTERS for chunk in chunks)


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("Mon, 30 Nov 2026 14:06:37 GMT", datetime(2026, 11, 30, 14, 6, 37, tzinfo=UTC)),
        ("Mon, 30 Nov 2026 15:06:37 +0100", datetime(2026, 11, 30, 14, 6, 37, tzinfo=UTC)),
        ("yesterday", None),
        (None, None),
    ],
)
def test_the_clock_of_the_server_is_what_its_answer_says(said: str | None, expected: datetime | None) -> None:
    assert time_of(httpx.Response(200, headers={"Date": said} if said else {})) == expected
