"""The part of Markdown that a text of a team needs, as HTML that holds no more than that.

Everything is escaped first, so that no tag, attribute or address of the text gets into a page.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import escape
from itertools import groupby

HEADING = re.compile(r"(#{1,6})\s+(.*?)\s*#*\s*")
ITEM = re.compile(r"\s*(?:([-*+])|\d+[.)])\s+(.*)")
INLINE = (
    (re.compile(r"`([^`]+)`"), r"<code>\1</code>"),
    (re.compile(r"\*\*(?=\S)(.+?)(?<=\S)\*\*"), r"<strong>\1</strong>"),
    (re.compile(r"(?<![*\w])\*(?=\S)([^*]+?)(?<=\S)\*(?![*\w])"), r"<em>\1</em>"),
)


def as_html(text: str, top: int = 1) -> str:
    """Headings, lists, paragraphs, **strong**, *stressed* and `code`; all else is text.

    top: the level of the heading that # becomes.
    """
    blocks = re.split(r"\n\s*\n", text.replace("\r\n", "\n").strip("\n"))
    return "\n".join(part for block in blocks if block.strip() for part in _block(block, top))


def _block(block: str, top: int) -> Iterator[str]:
    for kind, lines in groupby(block.splitlines(), key=_kind):
        texts = [*lines]
        if kind == "heading":
            yield from (_heading(line, top) for line in texts)
        elif kind == "p":
            yield f"<p>{_inline(' '.join(line.strip() for line in texts))}</p>"
        else:
            items = (match[2] for line in texts if (match := ITEM.fullmatch(line)))
            yield f"<{kind}>{''.join(f'<li>{_inline(item)}</li>' for item in items)}</{kind}>"


def _kind(line: str) -> str:
    if HEADING.fullmatch(line):
        return "heading"
    item = ITEM.fullmatch(line)
    return "p" if item is None else "ul" if item[1] else "ol"


def _heading(line: str, top: int) -> str:
    match = HEADING.fullmatch(line)
    assert match is not None
    level = min(len(match[1]) + top - 1, 6)
    return f"<h{level}>{_inline(match[2])}</h{level}>"


def _inline(text: str) -> str:
    safe = escape(text.strip(), quote=False)
    for pattern, tag in INLINE:
        safe = pattern.sub(tag, safe)
    return safe
