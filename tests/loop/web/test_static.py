"""Parts of others are what they say they are; files of pages never go stale."""

from __future__ import annotations

import hashlib
import re

from starlette.testclient import TestClient

from loop.web.static_files import address_of, contents


def test_the_parts_of_others_are_those_of_the_table() -> None:
    table = contents()["vendor/VERSIONS.md"].decode()
    rows = re.findall(r"^\| (\S+\.(?:js|css)) \|.*\| ([0-9a-f]{16}) \|$", table, re.MULTILINE)
    vendored = {name: data for name, data in contents().items() if name.endswith((".js", ".css"))}
    assert dict(rows) == {
        name.removeprefix("vendor/"): hashlib.sha256(data).hexdigest()[:16]
        for name, data in vendored.items()
        if name.startswith("vendor/")
    }
    for name in (row[0] for row in rows):
        package = re.match(r"[A-Za-z]+(-[a-z]+)*", name)
        assert package is not None
        assert "ermission" in contents()[f"vendor/{package[0]}.LICENSE.txt"].decode()


def test_a_file_is_kept_by_the_browser_for_good(site: TestClient) -> None:
    answer = site.get(address_of("style.css"))
    assert answer.content == contents()["style.css"]
    assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert answer.headers["content-type"].startswith("text/css")
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_an_address_of_another_version_is_not_answered(site: TestClient) -> None:
    for address in ("/static/000000000000/style.css", address_of("style.css").replace("style", "../site")):
        assert site.get(address).status_code == 404


def test_every_page_names_the_files_by_their_content(site: TestClient) -> None:
    text = site.get("/").text
    assert address_of("style.css") in text
    assert address_of("vendor/htmx.min.js") in text
    assert re.search(r'(?:src|href)="(?:https?:)?//(?!localhost)', text) is None
