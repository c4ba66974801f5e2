"""Who may see and change what the pages show, and from where."""

from __future__ import annotations

import random
import re
import time
from collections.abc import Iterator
from dataclasses import replace
from http.cookies import SimpleCookie
from pathlib import Path
from typing import Any

import pytest
from starlette.requests import Request
from starlette.testclient import TestClient

from loop.project.project import Project
from loop.web import guard as guards
from loop.web.attempts import OVER_ALL, PER_ADDRESS, WINDOW_S, Attempts, place_of
from loop.web.guard import TOKEN
from loop.web.session import KEY_BYTES, SECONDS, Ended, Flash, Session, Signer, kept_key, new_session
from loop.web.site import Site
from tests.fakes import FakeParts
from tests.loop.web.worker import LOCAL, OUTSIDE, SECRET, FakeWorker, browsing, client, csrf_of, exposed, send

EVIL = "https://evil.example"
PLACE = {"method": "POST", "scheme": "http", "path": "/", "query_string": b"", "server": ("localhost", 80)}


@pytest.fixture
def beyond(full: Project, monkeypatch: pytest.MonkeyPatch) -> Project:
    """The full project beyond loopback, with a token."""
    monkeypatch.setenv(TOKEN, SECRET)
    return exposed(full)


def enter(asked: TestClient, token: str = SECRET, **fields: str) -> Any:
    found = asked.get("/sign-in")
    csrf = re.search(r'name="csrf" value="([0-9a-f]+)"', found.text)
    assert csrf is not None
    return asked.post("/sign-in", data={"csrf": csrf[1], "token": token, "next": "/rounds", **fields})


def cookies(answer: Any) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for line in answer.headers.get_list("set-cookie"):
        found |= SimpleCookie(line)
    return found


def test_a_person_signs_in_with_the_token_and_a_name(beyond: Project) -> None:
    asked = client(beyond, base_url=OUTSIDE)
    refused = asked.get("/rounds", headers={"accept": "text/html"})
    assert refused.status_code == 401
    assert 'name="token"' in refused.text
    assert 'name="next" value="/rounds"' in refused.text
    assert beyond.settings.name not in refused.text.replace("<title>", "").split("<main")[1]
    entered = enter(asked, name="  Anna\n Weber ")
    assert (entered.status_code, entered.headers["location"]) == (303, "/rounds")
    page = asked.get("/rounds")
    assert page.status_code == 200
    assert ">Anna Weber</a>" in page.text


def test_the_session_cookie_is_out_of_reach_of_scripts_and_other_sites(beyond: Project) -> None:
    for base, secure in ((OUTSIDE, ""), (OUTSIDE.replace("http:", "https:"), True)):
        (cookie,) = cookies(enter(client(beyond, base_url=base))).values()
        assert cookie["httponly"] is True
        assert cookie["samesite"] == "strict"
        assert cookie["secure"] == secure
        assert SECRET not in cookie.value


def test_a_session_is_made_anew_when_the_token_is_given(beyond: Project) -> None:
    asked = client(beyond, base_url=OUTSIDE)
    before = csrf_of(asked)
    enter(asked)
    assert csrf_of(asked) != before
    assert asked.post("/sign-out", data={"csrf": before}).status_code == 403


def test_the_token_leaves_the_address_and_the_rest_stays(beyond: Project) -> None:
    asked = client(beyond, base_url=OUTSIDE)
    entered = asked.get(f"/changes?subject=model+3&token={SECRET}")
    assert (entered.status_code, entered.headers["location"]) == (303, "/changes?subject=model+3")
    assert asked.get("/changes").status_code == 200


def test_signing_out_ends_it(beyond: Project) -> None:
    asked = client(beyond, base_url=OUTSIDE)
    enter(asked)
    assert send(asked, "/sign-out").headers["location"] == "/sign-in"
    assert asked.get("/rounds").status_code == 401


@pytest.mark.parametrize("change", ["another key", "another token", "cut", "of a stranger"])
def test_a_cookie_that_we_did_not_sign_opens_nothing(
    beyond: Project, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    key = kept_key(beyond.pages / "session.key")
    ours = Signer(key, SECRET)
    forged = ours.cookie_of(new_session(True))
    if change == "another key":
        forged = Signer(bytes(KEY_BYTES), SECRET).cookie_of(new_session(True))
    elif change == "another token":
        monkeypatch.setenv(TOKEN, SECRET.upper())
    elif change == "cut":
        forged = forged[:-1]
    else:
        forged = ours.cookie_of(new_session(False))
    asked = client(beyond, base_url=OUTSIDE)
    assert asked.get("/", headers={"cookie": f"{ours.cookie}={forged}"}).status_code == 401


def test_a_session_outlives_a_restart(beyond: Project) -> None:
    before = client(beyond, base_url=OUTSIDE)
    enter(before, name="Anna")
    after = client(beyond, base_url=OUTSIDE)
    after.cookies = before.cookies
    assert ">Anna</a>" in after.get("/rounds").text


def test_an_old_session_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    signer = Signer(bytes(KEY_BYTES))
    cookie = signer.cookie_of(new_session(True, "Anna"))
    assert signer.session_of(cookie) is not None
    monkeypatch.setattr("loop.web.session.SECONDS", -1)
    assert signer.session_of(cookie) is None


def test_what_is_signed_as_one_thing_is_no_other() -> None:
    signer = Signer(bytes(KEY_BYTES))
    flash = Flash("2 dropped", "/queue/undo", (("task", "3"),))
    assert signer.flash_of(signer.cookie_of_flash(flash)) == flash
    assert signer.session_of(signer.cookie_of_flash(flash)) is None
    assert signer.flash_of(signer.cookie_of(new_session())) is None


def test_the_key_is_kept_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "pages" / "session.key"
    key = kept_key(path)
    assert len(key) == KEY_BYTES
    assert kept_key(path) == key
    assert path.stat().st_mode & 0o077 == 0
    path.write_text("no key")
    assert kept_key(path) != key


def test_a_key_that_cannot_be_kept_serves_this_process(tmp_path: Path) -> None:
    (tmp_path / "pages").write_text("a file where the folder should be")
    assert len(kept_key(tmp_path / "pages" / "session.key")) == KEY_BYTES


# What changes something comes from our own pages


def test_a_form_needs_the_token_of_its_session(full: Project) -> None:
    asked, other = client(full), client(full)
    for given in ("", "0" * 64, csrf_of(other)):
        csrf_of(asked)
        answer = asked.post("/sign-in", data={"csrf": given, "name": "Eve"})
        assert answer.status_code == 403
        assert "open its page again" in answer.text
    assert send(asked, "/sign-in", name="Anna").status_code == 303


@pytest.mark.parametrize("base", [LOCAL, OUTSIDE])
@pytest.mark.parametrize(
    "headers",
    [
        {"origin": EVIL},
        {"origin": "null"},
        {"origin": "http://localhost:9999"},
        {"origin": "http://box.example.org.evil.example"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"origin": "http://[bad"},
    ],
)
def test_a_form_of_another_site_is_refused(
    full: Project, monkeypatch: pytest.MonkeyPatch, base: str, headers: dict[str, str]
) -> None:
    """Even with the right token of the form, on loopback as well."""
    project = full
    if base == OUTSIDE:
        monkeypatch.setenv(TOKEN, SECRET)
        project = exposed(full)
    asked = client(project, base_url=base)
    if base == OUTSIDE:
        enter(asked)
    form = {"csrf": csrf_of(asked), "name": "Eve"}
    for method in ("POST", "PUT", "PATCH", "DELETE"):
        answer = asked.request(method, "/sign-in", data=form, headers=headers)
        assert answer.status_code == 403
        assert "expected a form of these pages" in answer.text


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": LOCAL, "sec-fetch-site": "same-origin"},
        {"origin": LOCAL},
        {"sec-fetch-site": "none"},
        {},
    ],
)
def test_our_own_forms_are_taken(full: Project, headers: dict[str, str]) -> None:
    asked = client(full)
    answer = asked.post("/sign-in", data={"csrf": csrf_of(asked), "name": "Anna"}, headers=headers)
    assert answer.status_code == 303


def test_behind_a_proxy_that_ends_tls_our_forms_are_taken(beyond: Project) -> None:
    asked = client(beyond, base_url=OUTSIDE)
    form = {"csrf": csrf_of(asked), "token": SECRET}
    https = {"origin": OUTSIDE.replace("http:", "https:")}
    assert asked.post("/sign-in", data=form, headers=https).status_code == 303


def test_a_program_needs_no_form_token_where_no_browser_can_pose_as_one(full: Project) -> None:
    asked = client(full)
    assert asked.post("/api/nothing").status_code == 404
    assert asked.post("/api/nothing", headers={"origin": LOCAL}).status_code == 403
    assert asked.post("/api/nothing", headers={"sec-fetch-site": "same-origin"}).status_code == 403
    asked.get("/")
    assert asked.post("/api/nothing").status_code == 403
    assert asked.post("/").status_code == 403


def test_a_program_with_the_token_needs_no_form_token(beyond: Project) -> None:
    asked = client(beyond, base_url=OUTSIDE)
    bearer = {"authorization": f"Bearer {SECRET}"}
    assert asked.post("/api/nothing", headers=bearer | {"origin": EVIL}).status_code == 404
    assert asked.post("/api/nothing").status_code == 401
    assert asked.post("/api/nothing", headers={"authorization": "Bearer wrong"}).status_code == 401


def test_a_bearer_token_on_loopback_frees_of_nothing(full: Project) -> None:
    """There the browser of anybody's page could send one."""
    asked = client(full)
    assert asked.post("/sign-in", headers={"authorization": "Bearer x", "origin": EVIL}).status_code == 403


def test_a_link_on_another_site_leads_to_the_page_of_who_is_signed_in(beyond: Project) -> None:
    """Strict cookies are kept back on the way from there, so the page is loaded once more."""
    asked = client(beyond, base_url=OUTSIDE)
    from_afar = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate", "accept": "text/html"}
    answer = asked.get("/rounds", headers=from_afar)
    assert answer.status_code == 200
    assert '<meta http-equiv="refresh" content="0">' in answer.text
    assert "set-cookie" not in answer.headers
    enter(asked)
    assert "<h1>Rounds" in asked.get("/rounds", headers=from_afar).text


# Wrong tokens


def test_wrong_tokens_are_slowed_down(beyond: Project) -> None:
    asked = client(beyond, base_url=OUTSIDE)
    tries = [
        lambda: enter(asked, "wrong"),
        lambda: asked.get("/rounds?token=wrong"),
        lambda: asked.get("/rounds", headers={"authorization": "Bearer wrong"}),
    ]
    for number in range(PER_ADDRESS):
        assert tries[number % 3]().status_code == 401
    for again in (*tries, lambda: enter(asked, SECRET)):
        answer = again()
        assert answer.status_code == 429
        assert 0 < int(answer.headers["retry-after"]) <= WINDOW_S
        assert "too many wrong tokens" in answer.text
    assert "set-cookie" not in asked.get("/rounds", headers={"authorization": f"Bearer {SECRET}"}).headers


def test_who_is_signed_in_is_not_slowed_down(beyond: Project) -> None:
    asked = client(beyond, base_url=OUTSIDE)
    enter(asked)
    for _ in range(PER_ADDRESS + 1):
        wrong = asked.get("/rounds", headers={"authorization": "Bearer wrong"})
    assert wrong.status_code == 429
    assert asked.get("/rounds").status_code == 200


def test_attempts_per_address_and_over_all() -> None:
    now = [0.0]
    attempts = Attempts(lambda: now[0])
    attempts.was_right("10.0.0.1")
    for number in range(PER_ADDRESS):
        assert attempts.wait_s("10.0.0.7") == 0, number
        attempts.was_wrong("10.0.0.7")
    assert attempts.wait_s("10.0.0.7") > WINDOW_S - 1
    assert attempts.wait_s("10.0.0.8") == 0
    for number in range(OVER_ALL):
        attempts.was_wrong(f"10.1.0.{number}")
    assert attempts.wait_s("10.0.0.8") > 0
    assert attempts.wait_s("10.0.0.1") == 0, "whoever has the token is kept out by nobody"
    now[0] = WINDOW_S + 1
    assert attempts.wait_s("10.0.0.7") == attempts.wait_s("10.0.0.8") == 0


def test_the_addresses_of_one_network_count_together() -> None:
    assert place_of("2001:db8::1") == place_of("2001:db8::ffff:1") != place_of("2001:db8:0:1::1")
    assert place_of("::ffff:10.0.0.1") == place_of("10.0.0.1") != place_of("10.0.0.2")
    assert place_of("testclient") == "testclient"


def test_only_so_many_addresses_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("loop.web.attempts.REMEMBERED", 5)
    attempts = Attempts()
    for number in range(50):
        attempts.was_wrong(f"10.0.0.{number}")
        attempts.was_right(f"10.0.1.{number}")
    assert len(attempts._wrong) == len(attempts._right) == 5


def test_tokens_are_compared_in_constant_time(beyond: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[tuple[bytes, bytes]] = []
    real = guards.hmac.compare_digest

    def watched(given: bytes, expected: bytes) -> bool:
        compared.append((given, expected))
        return real(given, expected)

    monkeypatch.setattr(guards.hmac, "compare_digest", watched)
    asked = client(beyond, base_url=OUTSIDE)
    for given in ("", "a", SECRET[:-1], SECRET, "ü"):
        asked.get("/", params={"token": given})
    tokens = [given for given, expected in compared if expected == SECRET.encode()]
    assert tokens == [b"a", SECRET[:-1].encode(), SECRET.encode(), "ü".encode()]


# Bodies and headers


def chunks(count: int) -> Iterator[bytes]:
    for _ in range(count):
        yield b"x" * 100_000


def test_a_large_body_is_refused(full: Project) -> None:
    asked = client(full)
    form = {"content-type": "application/x-www-form-urlencoded"}
    for body in (b"x" * 1_000_001, chunks(11)):
        answer = asked.post("/sign-in", content=body, headers=form)
        assert answer.status_code == 413
        assert "expected a body of at most 1000000 bytes" in answer.text
    assert asked.post("/sign-in", content=b"x" * 1_000_000, headers=form).status_code == 403


def test_a_route_may_take_more(full: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    most = {"/sign-in": 2_000_000, "/sign-in/never": 10}
    monkeypatch.setattr("loop.web.app.bodies", lambda site: most)
    asked = client(full)
    form = {"content-type": "application/x-www-form-urlencoded"}
    assert asked.post("/sign-in", content=b"x" * 1_900_000, headers=form).status_code == 403
    assert asked.post("/sign-in", content=b"x" * 2_000_001, headers=form).status_code == 413
    assert asked.post("/", content=b"x" * 1_900_000, headers=form).status_code == 413


@pytest.mark.parametrize("body", [b"--x\r\nnothing", b"\xff\xfe=%zz&&=", b"a=" + b"&b=" * 30_000])
@pytest.mark.parametrize("kind", ["multipart/form-data; boundary=x", "application/x-www-form-urlencoded"])
def test_a_form_that_is_none_is_refused(full: Project, kind: str, body: bytes) -> None:
    asked = client(full)
    assert asked.post("/sign-in", content=body, headers={"content-type": kind}).status_code in (400, 403)


def test_every_answer_says_what_browsers_may_do_with_it(full: Project) -> None:
    asked = client(full)
    for path in ("/", "/nothing", "/healthz", "/static/0/none.js", "/api/status"):
        headers = asked.get(path).headers
        assert headers["content-security-policy"] == (
            "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
            "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
        )
        assert headers["referrer-policy"] == "same-origin"
        assert headers["cache-control"] == "no-store"
        assert headers["cross-origin-resource-policy"] == "same-origin"
        assert headers["x-frame-options"] == "DENY"


def test_programs_get_no_cookie(full: Project) -> None:
    asked = client(full)
    for path in ("/healthz", "/api/status", "/static/0/none.js"):
        assert "set-cookie" not in asked.get(path).headers


def test_two_projects_on_one_machine_do_not_share_a_cookie(full: Project, empty: Project) -> None:
    """Browsers send the cookies of localhost to all of its ports."""
    first, second = client(full), client(empty)
    names = {name for asked in (first, second) for name in cookies(asked.get("/"))}
    assert len(names) == 2


def test_what_was_done_is_said_once(full: Project) -> None:
    signer = Signer(kept_key(full.pages / "session.key"))
    asked = browsing(FakeParts(full), FakeWorker())
    said = signer.cookie_of_flash(Flash("2 <b>dropped", "/queue/undo", (("task", '"3'),)))
    asked.cookies.set(signer.flash_cookie, said, domain="localhost.local")
    page = asked.get("/rounds").text
    assert "2 &lt;b&gt;dropped" in page
    assert '<form method="post" action="/queue/undo"><input type="hidden" name="csrf"' in page
    assert 'name="task" value="&#34;3"' in page
    assert "dropped" not in asked.get("/rounds").text


def test_a_name_is_cut_to_a_line(full: Project) -> None:
    assert new_session(name="a\n b\x00" + "c" * 100).name == "a b\x00" + "c" * 76
    assert replace(Session("x"), name="y").name == "y"


def test_what_is_too_long_for_a_cookie_is_said_without_a_way_back(full: Project) -> None:
    """Browsers drop a longer cookie without a word."""
    site = Site(FakeParts(full), FakeWorker(), Signer(bytes(KEY_BYTES)))
    rng = random.Random(7)
    for count, undone in ((100, True), (20_000, False)):
        frames = " ".join(str(rng.randrange(10**6)) for _ in range(count))
        answer = site.done(
            Request({"type": "http", "headers": []} | PLACE), "/", "done", "/undo", {"f": frames}
        )
        (cookie,) = SimpleCookie(answer.headers["set-cookie"]).values()
        assert len(answer.headers["set-cookie"]) < 4096
        said = site.signer.flash_of(cookie.value)
        assert said is not None
        assert (said.text == "done", said.undo == "/undo") == (undone, undone)


def test_a_cookie_that_somebody_kept_ends_with_its_session(beyond: Project) -> None:
    asked = client(beyond, base_url=OUTSIDE)
    enter(asked)
    kept = "; ".join(f"{name}={value}" for name, value in asked.cookies.items())
    assert client(beyond, base_url=OUTSIDE).get("/rounds", headers={"cookie": kept}).status_code == 200
    send(asked, "/sign-out")
    for place in (asked, client(beyond, base_url=OUTSIDE)):  # the second as after a restart
        place.cookies.clear()
        assert place.get("/rounds", headers={"cookie": kept}).status_code == 401


def test_ended_sessions_are_forgotten_with_their_cookies(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "session.ended"
    Ended(path).add("first")
    path.write_bytes(path.read_bytes() + b"no line\n\xff\nx y z\n")
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + SECONDS + 2)
    ended = Ended(path)
    assert "first" in ended
    ended.add("second")
    assert path.read_text().split()[::2] == ["second"]
    assert path.stat().st_mode & 0o077 == 0


def test_a_token_in_the_address_changes_nothing(beyond: Project) -> None:
    answer = client(beyond, base_url=OUTSIDE).post(f"/api/jobs/push/pause?token={SECRET}")
    assert (answer.status_code, answer.headers["content-type"]) == (401, "application/problem+json")
    assert "location" not in answer.headers


def test_a_program_that_takes_pages_gets_a_problem(beyond: Project) -> None:
    answer = client(beyond, base_url=OUTSIDE).get("/api/status", headers={"accept": "text/html, */*"})
    assert (answer.status_code, answer.headers["content-type"]) == (401, "application/problem+json")
