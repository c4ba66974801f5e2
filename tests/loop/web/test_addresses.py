"""Where an address leads, whatever else a request says."""

from __future__ import annotations

import pytest
from starlette.requests import Request
from starlette.testclient import TestClient

from loop.project.project import Project
from loop.web.addresses import asked_of, host_of, within
from loop.web.guard import TOKEN
from tests.loop.web.worker import OUTSIDE, SECRET, client, exposed

LARGE = ("9" * 19, "9" * 4400)


def request(path: str = "/frames", query: str = "", host: str | None = "localhost:8765") -> Request:
    return Request(
        {
            "type": "http",
            "method": "GET",
            "scheme": "http",
            "path": path,
            "query_string": query.encode(),
            "headers": [] if host is None else [(b"host", host.encode("latin-1"))],
            "server": ("127.0.0.1", 8765),
        }
    )


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ("localhost:8765", "localhost"),
        ("[::1]:8765", "::1"),
        ("Box.example", "box.example"),
        ("my_box.example:1", "my_box.example"),
        (None, ""),
        ("", ""),
        ("\xe9vil.example", ""),
        ("evil.example@localhost", ""),
        ("localhost/static/", ""),
        ("localhost:80:80", ""),
    ],
)
def test_a_host_is_a_name_or_nothing(given: str | None, name: str) -> None:
    assert host_of(request(host=given)) == name


@pytest.mark.parametrize("host", ["\xe9vil.example", "x/static/", "localhost#", "a@localhost", " "])
def test_a_host_that_is_none_is_not_taken_for_ours(site: TestClient, host: str) -> None:
    answer = site.get("/healthz", headers=[("host", host.encode("latin-1"))])  # type: ignore[arg-type]
    assert answer.status_code == 421


@pytest.mark.parametrize("host", ["x/static/", "x/static/?", "x/sign-in?", "x/static/#"])
def test_no_host_spares_the_token(full: Project, monkeypatch: pytest.MonkeyPatch, host: str) -> None:
    monkeypatch.setenv(TOKEN, SECRET)
    asked = client(exposed(full), base_url=OUTSIDE)
    assert asked.get("/frames", headers={"host": host}).status_code == 401
    assert asked.get("/api/status", headers={"host": host}).status_code == 401


@pytest.mark.parametrize("number", LARGE)
@pytest.mark.parametrize(
    "address",
    ["/frames/{}", "/frames/{}/picture", "/collections/{}", "/rounds/{}", "/map/frames/{}", "/api/frames/{}"],
)
def test_a_number_that_no_database_holds_leads_nowhere(site: TestClient, address: str, number: str) -> None:
    assert site.get(address.format(number)).status_code in (404, 422)


@pytest.mark.parametrize(
    ("path", "query", "link"),
    [
        ("//evil.example/x", "", "/evil.example/x"),
        ("/\\evil.example", "", "/%5Cevil.example"),
        ("/frames", "camera=a%26b&token=secret", "/frames?camera=a%26b"),
        ("/frames\n", "", "/frames%0A"),
    ],
)
def test_what_was_asked_for_stays_on_these_pages(path: str, query: str, link: str) -> None:
    assert asked_of(request(path, query)) == link


def test_a_link_within_leads_to_no_other_host() -> None:
    assert [within(to) for to in ("//evil", "\\\\evil", "/\\/evil", "")] == ["/evil", "/evil", "/evil", "/"]


def test_a_page_that_is_not_there_links_to_no_other_host(site: TestClient) -> None:
    answer = site.get("http://localhost:8765//evil.example/")
    assert answer.status_code == 404
    assert 'href="/"' in answer.text
    assert "//evil.example" not in answer.text
    assert 'href="//' not in answer.text


def test_signing_in_leads_to_the_whole_address(full: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(TOKEN, SECRET)
    asked = client(exposed(full), base_url=OUTSIDE)
    refused = asked.get("/frames?camera=gate&labeled=no", headers={"accept": "text/html"})
    assert 'name="next" value="/frames?camera=gate&amp;labeled=no"' in refused.text


def test_the_api_alone_answers_programs(site: TestClient) -> None:
    answer = site.get("/api")
    assert (answer.status_code, answer.headers["content-type"]) == (404, "application/problem+json")
