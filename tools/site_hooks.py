"""What the site needs beyond the files of docs/: the README as its first page, the reference, and
every file that a page links to.

Pages link as a reader of the repository follows them (`../loop/cli/app.py`). Here such a link leads
to a page with that file's text, and one that leads nowhere stays as it is, which mkdocs refuses
under --strict.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

from tools.reference import commands_page, settings_page

ROOT = Path(__file__).parents[1]
DOCS = "docs/"
HOME = "README.md"
RESULTS = "Results"
LINK = re.compile(r"(!?\[[^\]]*\]\()([^)#\s]+)(#[^)\s]*)?\)")
FENCE = re.compile(r"^\s*(```|~~~)")
LANGUAGES = {".py": "python", ".yaml": "yaml", ".yml": "yaml", ".toml": "toml"}
MADE = {"reference/commands.md": commands_page, "reference/settings.md": settings_page}
UNSEARCHED = "---\nsearch:\n  exclude: true\n---\n\n"


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Pages of results are written by commands: each joins the site without being named in
    mkdocs.yml.
    """
    config.nav = with_results(config.nav or [], sorted(path.name for path in (ROOT / DOCS).glob("*.md")))
    return config


def with_results(nav: list[Any], pages: list[str]) -> list[Any]:
    """The navigation, with those of these pages that stand nowhere in it under Results."""
    named = set(_named(nav))
    added = [page for page in pages if page not in named]
    return [{RESULTS: [*entry[RESULTS], *added]} if RESULTS in entry else entry for entry in nav]


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds the pages that are made, and a page for each file outside docs/ that some page links to."""
    for uri, make in MADE.items():
        files.append(File.generated(config, uri, content=make()))
    named = [source_of(uri) for uri in _named(config.nav) if files.get_file_from_path(uri) is None]
    waiting = [HOME, *named, *(source_of(file.src_uri) for file in files.documentation_pages())]
    seen: set[str] = set()
    while waiting:
        source = waiting.pop()
        path = ROOT / source
        if source in seen or not path.is_file():
            continue
        seen.add(source)
        if files.get_file_from_path(uri_of(source)) is None:
            files.append(File.generated(config, uri_of(source), content=content_of(source)))
        if path.suffix == ".md":
            waiting += [
                target for target in targets(source, path.read_text(encoding="utf-8")) if is_outside(target)
            ]
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Links to files of the repository become links to their pages."""
    return relinked(source_of(page.file.src_uri), markdown)


def relinked(source: str, markdown: str) -> str:
    """The text of a file of the repository with its links as the site needs them."""

    def replace(match: re.Match[str]) -> str:
        target = resolved(source, match[2])
        if target is None or not (ROOT / target).is_file():
            return match[0]
        link = posixpath.relpath(uri_of(target), posixpath.dirname(uri_of(source)) or ".")
        return f"{match[1]}{link}{match[3] or ''})"

    return "\n".join(line if fenced else LINK.sub(replace, line) for fenced, line in _lines(markdown))


def targets(source: str, markdown: str) -> Iterator[str]:
    """The files that a file of the repository links to, by their paths in it; links into the web
    are left out.
    """
    for fenced, line in _lines(markdown):
        for match in () if fenced else LINK.finditer(line):
            if (target := resolved(source, match[2])) is not None:
                yield target


def resolved(source: str, link: str) -> str | None:
    """The path in the repository that a link means; None for an address."""
    if re.match(r"[a-z]+:", link):
        return None
    return posixpath.normpath(posixpath.join(posixpath.dirname(source), link))


def is_outside(path: str) -> bool:
    return not path.startswith(DOCS)


def uri_of(source: str) -> str:
    """Where a file of the repository lies in the site."""
    if source == HOME:
        return "index.md"
    if source.startswith(DOCS):
        return source.removeprefix(DOCS)
    return source if source.endswith(".md") else f"code/{source}.md"


def source_of(uri: str) -> str:
    """The file of the repository that a page of the site shows."""
    if uri == "index.md":
        return HOME
    if uri.startswith("code/"):
        return uri.removeprefix("code/").removesuffix(".md")
    return f"{DOCS}{uri}" if uri in MADE or (ROOT / DOCS / uri).is_file() else uri


def content_of(source: str) -> str:
    """The page of a file outside docs/: Markdown as it is, anything else as code."""
    text = (ROOT / source).read_text(encoding="utf-8")
    if source.endswith(".md"):
        return text
    language = LANGUAGES.get(Path(source).suffix, "text")
    return f"{UNSEARCHED}# {source}\n\n~~~~~ {language}\n{text}\n~~~~~\n"


def _named(nav: Any) -> Iterator[str]:
    if isinstance(nav, str):
        yield nav
    for entry in nav.values() if isinstance(nav, dict) else nav if isinstance(nav, list) else ():
        yield from _named(entry)


def _lines(markdown: str) -> Iterator[tuple[bool, str]]:
    fence = ""
    for line in markdown.split("\n"):
        mark = FENCE.match(line)
        if mark and fence in ("", mark[1]):
            fence = "" if fence else mark[1]
            yield True, line
        else:
            yield bool(fence), line
