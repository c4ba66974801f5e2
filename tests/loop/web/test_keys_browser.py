"""The keyboard in a real Chromium: it walks, selects, opens, undoes, and is dead while one types."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page

from loop.web.static_files import contents

pytestmark = pytest.mark.browser
TILES = "".join(
    f'<li data-item id="i{n}"><a href="#open{n}">{n}</a>'
    f'<input type="checkbox" value="{n}" aria-label="{n}"></li>'
    for n in range(1, 6)
)
PAGE = f"""<!doctype html><html lang="en"><title>keys</title><main>
<div id="said" role="status"></div>
<button data-undo id="undo">Undo</button>
<form><input type="search" id="search" aria-label="search"><textarea id="text" aria-label="text"></textarea>
<select id="choice" aria-label="choice"><option>a<option>j</select></form>
<ul>{TILES}</ul>
<a rel="prev" href="#before">before</a><a rel="next" href="#after">after</a>
</main>
<dialog id="keys"><form method="dialog"><button>Close</button></form></dialog>
<a href="#keys" data-help id="help">help</a></html>"""


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    opened = browser.new_page()
    opened.set_content(PAGE)
    opened.add_script_tag(content=contents()["keys.js"].decode())
    opened.evaluate("void (document.getElementById('undo').onclick = () => document.body.dataset.undone = 1)")
    yield opened
    opened.close()


def here(page: Page) -> str:
    found: str = page.evaluate("document.querySelector('.here')?.id || ''")
    return found


def chosen(page: Page) -> list[str]:
    found: list[str] = page.evaluate(
        "[...document.querySelectorAll(':checked[type=checkbox]')].map(box => box.value)"
    )
    return found


def press(page: Page, *keys: str) -> None:
    for key in keys:
        page.keyboard.press(key)


def test_j_and_k_walk_and_stop_at_the_ends(page: Page) -> None:
    press(page, "j")
    assert here(page) == "i1"
    press(page, "j", "j")
    assert here(page) == "i3"
    press(page, *"jjjjj")
    assert here(page) == "i5"
    press(page, *"kk")
    assert here(page) == "i3"
    press(page, *"kkkk")
    assert here(page) == "i1"
    assert page.evaluate("document.activeElement.textContent") == "1", "the focus goes along"
    press(page, "Escape")
    assert here(page) == ""


def test_x_selects_and_shift_x_a_range(page: Page) -> None:
    press(page, "j", "x")
    assert chosen(page) == ["1"]
    assert page.inner_text("#said") == "1 item selected"
    press(page, "j", "j", "j", "Shift+X")
    assert chosen(page) == ["1", "2", "3", "4"]
    assert page.inner_text("#said") == "4 items selected"
    press(page, "x")
    assert chosen(page) == ["1", "2", "3"]


def test_enter_opens_the_item(page: Page) -> None:
    press(page, "j", "j", "Enter")
    assert page.evaluate("location.hash") == "#open2"


def test_brackets_go_to_the_page_before_and_after(page: Page) -> None:
    press(page, "]")
    assert page.evaluate("location.hash") == "#after"
    press(page, "[")
    assert page.evaluate("location.hash") == "#before"


def test_u_undoes(page: Page) -> None:
    assert page.evaluate("document.body.dataset.undone") is None
    press(page, "u")
    assert page.evaluate("document.body.dataset.undone") == "1"


def test_a_question_mark_helps_and_escape_closes(page: Page) -> None:
    press(page, "?")
    assert page.evaluate("document.getElementById('keys').open")
    press(page, "j")
    assert here(page) == "", "nothing moves behind the help"
    press(page, "Escape")
    assert not page.evaluate("document.getElementById('keys').open")
    page.click("#help")
    assert page.evaluate("document.getElementById('keys').open")


@pytest.mark.parametrize("field", ["search", "text", "choice"])
def test_keys_are_letters_while_one_types(page: Page, field: str) -> None:
    page.focus(f"#{field}")
    press(page, *"jx?u")
    assert (here(page), chosen(page)) == ("", [])
    assert not page.evaluate("document.getElementById('keys').open")
    assert page.evaluate("document.body.dataset.undone") is None
    if field != "choice":
        assert page.input_value(f"#{field}") == "jx?u"
    press(page, "Escape")
    press(page, "j")
    assert here(page) == "i1"


def test_a_slash_goes_to_the_search(page: Page) -> None:
    press(page, "/")
    assert page.evaluate("document.activeElement.id") == "search"
    assert page.input_value("#search") == ""


@pytest.mark.parametrize("key", ["Control+j", "Alt+x", "Meta+u"])
def test_what_is_the_browsers_own_stays_so(page: Page, key: str) -> None:
    press(page, key)
    assert (here(page), chosen(page)) == ("", [])
