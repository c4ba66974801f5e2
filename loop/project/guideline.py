"""labeling/guideline.md: what the team has settled about labels, a section for each class and topic.

Notes in `<!-- -->` are for the team: a section that holds nothing else is empty. Labelers are shown what is
not empty.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import config
from connectors.files import write_atomically
from loop.base.errors import ConfigError

PLACE = Path("labeling") / "guideline.md"
"""Below the folder of the project."""
TOPICS = ("occlusion", "truncation", "reflections", "shadows", "overlapping", "small objects")
CLASSES = "classes"
"""The section that holds those of the classes."""
HEADING = re.compile(r"^(#{1,6})\s+(.*?)\s*#*\s*$")
NOTE = re.compile(r"<!--(.*?)(?:-->|\Z)", re.DOTALL)
LONGEST = 200_000
"""Characters that are read."""


@dataclass(frozen=True, slots=True)
class Section:
    """One heading and what stands below it.

    level: 1 for #. text: without notes. note: the first one. above: titles of the sections that it is in.
    """

    title: str
    level: int
    text: str
    note: str
    above: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Guideline:
    """text: of the file. lacking: topics without an answer. undefined: classes without a definition.

    questions: by topic, the note that asks for its answer.
    """

    text: str
    sections: tuple[Section, ...]
    lacking: tuple[str, ...]
    undefined: tuple[str, ...]
    questions: dict[str, str]

    @property
    def sha256(self) -> str:
        """The version: of the content, as hexadecimal digits."""
        return hashlib.sha256(self.text.encode()).hexdigest()


def template(classes: Sequence[str]) -> str:
    """The file of a new project: a section for each class and topic, all empty."""
    asked = "<!-- What counts as one, and what looks alike and does not? What does its box hold? -->"
    sections = "\n\n".join(f"### {' '.join(name.split())}\n\n{asked}" for name in classes)
    return (config.FOLDER / PLACE.name).read_text(encoding="utf-8").replace("{classes}", sections)


def ensure_guideline(root: Path, classes: Sequence[str]) -> Path:
    """The file of the project, made from the template where there is none."""
    path = root / PLACE
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, template(classes))
    return path


def read_guideline(root: Path, classes: Sequence[str]) -> Guideline:
    """The guideline of the project; one without a file has the empty template.

    Raises ConfigError where the file is no text.
    """
    path = root / PLACE
    try:
        text = path.read_text(encoding="utf-8-sig") if path.is_file() else template(classes)
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: expected text in UTF-8, got {error}; save it as UTF-8") from None
    if len(text) > LONGEST:
        raise ConfigError(
            f"{path}: expected at most {LONGEST} characters, got {len(text)}; labelers read it, so shorten it"
        )
    return parse(text, classes)


def parse(text: str, classes: Sequence[str]) -> Guideline:
    """A topic is a heading of its name. A class is one of its name below the heading Classes."""
    sections = tuple(_sections(text))
    topics = {_key(one.title): one for one in sections if CLASSES not in map(_key, one.above)}
    defined = {_key(one.title): one for one in sections if CLASSES in map(_key, one.above)}
    return Guideline(
        text,
        sections,
        tuple(topic for topic in TOPICS if not _filled(topics.get(topic), sections)),
        tuple(name for name in classes if not _filled(defined.get(_key(name)), sections)),
        {topic: topics[topic].note for topic in TOPICS if topic in topics},
    )


def shown(guideline: Guideline) -> str:
    """What labelers are shown, as Markdown: headings below which something stands."""
    filled = [one for one in guideline.sections if _filled(one, guideline.sections)]
    if not any(one.text for one in filled):
        return ""
    return "\n\n".join(f"{'#' * one.level} {one.title}\n\n{one.text}".strip() for one in filled)


def _sections(text: str) -> list[Section]:
    """A text before the first heading is a section without a title."""
    found: list[Section] = []
    above: list[tuple[int, str]] = []
    level, title, body = 1, "", list[str]()

    def close() -> None:
        whole = "\n".join(body)
        notes = [" ".join(note.split()) for note in NOTE.findall(whole)]
        written = NOTE.sub("", whole).strip()
        if title or written:
            holders = tuple(name for depth, name in above if depth < level)
            found.append(Section(title, level, written, next(iter(notes), ""), holders))

    for line, heading in _lines(text):
        if heading is None:
            body.append(line)
            continue
        close()
        level, title, body = len(heading[1]), heading[2], []
        above = [(depth, name) for depth, name in above if depth < level] + [(level, title)]
    close()
    return found


def _lines(text: str) -> list[tuple[str, re.Match[str] | None]]:
    """Each line and the heading that it is; within a note there is none."""
    pairs: list[tuple[str, re.Match[str] | None]] = []
    noted = False
    for line in text.splitlines():
        pairs.append((line, None if noted else HEADING.match(line)))
        noted = line.rfind("<!--") > line.rfind("-->") or (noted and "-->" not in line)
    return pairs


def _filled(one: Section | None, sections: Sequence[Section]) -> bool:
    """Whether anything stands in it, or in a section within it."""
    if one is None:
        return False
    place = sections.index(one)
    for other in sections[place:]:
        if other is not one and other.level <= one.level:
            return False
        if other.text:
            return True
    return False


def _key(title: str) -> str:
    return " ".join(title.split()).casefold()
