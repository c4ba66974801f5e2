"""YAML and JSON that strangers wrote: read within bounds, refused in words.

A few lines of YAML can stand for billions of values by aliases, and brackets can be nested until the
parser itself falls over.
"""

from __future__ import annotations

import codecs
import json
from typing import Any

import yaml

MAX_YAML_BYTES = 2_000_000
MAX_DEPTH = 64
MAX_VALUES = 200_000
"""Of YAML, each value counted as often as aliases repeat it."""
_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_MARKS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))
_BEGIN = (yaml.SequenceStartEvent, yaml.MappingStartEvent)
_END = (yaml.SequenceEndEvent, yaml.MappingEndEvent)


def decoded(data: bytes) -> str:
    """Text in UTF-8, or in the encoding that its byte order mark says. Raises UnicodeDecodeError."""
    return data.decode(next((name for mark, name in _MARKS if data.startswith(mark)), "utf-8"))


def parse_yaml(text: str) -> Any:
    """The document. Raises ValueError that says what is wrong, whatever the text is."""
    if len(text) > MAX_YAML_BYTES:
        raise ValueError(f"expected at most {MAX_YAML_BYTES:,} characters of YAML, got {len(text):,}")
    try:
        _check_depth(text)
        tree = yaml.load(text, _Loader)  # noqa: S506 - one of the safe loaders
    except Exception as error:
        raise ValueError(" ".join(str(error).split()) or type(error).__name__) from error
    if _values(tree, {}) > MAX_VALUES:
        raise ValueError(
            f"expected at most {MAX_VALUES:,} values, got more with those that aliases repeat; write them out"
        )
    return tree


def parse_json(text: str) -> Any:
    """The document. Raises ValueError that says what is wrong, whatever the text is."""
    try:
        tree = json.loads(text)
        if _is_deeper(tree, MAX_DEPTH):
            raise RecursionError
    except RecursionError:
        raise ValueError(_too_deep()) from None
    return tree


def _check_depth(text: str) -> None:
    depth = 0
    for event in yaml.parse(text, _Loader):
        depth += isinstance(event, _BEGIN) - isinstance(event, _END)
        if depth > MAX_DEPTH:
            raise ValueError(_too_deep())


def _too_deep() -> str:
    return f"expected at most {MAX_DEPTH} brackets or indents within one another, got more"


def _values(tree: Any, known: dict[int, int]) -> int:
    """How many values there would be if every alias were written out. Raises ValueError for a value
    that holds itself.
    """
    if not isinstance(tree, dict | list):
        return 1
    if id(tree) in known:
        if not known[id(tree)]:
            raise ValueError("expected values, got an alias within the value that it stands for")
        return known[id(tree)]
    known[id(tree)] = 0
    children = [*tree.keys(), *tree.values()] if isinstance(tree, dict) else tree
    known[id(tree)] = 1 + sum(_values(child, known) for child in children)
    return known[id(tree)]


def _is_deeper(tree: Any, most: int) -> bool:
    level = [tree]
    for _ in range(most + 1):
        level = [
            child
            for node in level
            if isinstance(node, dict | list)
            for child in (node.values() if isinstance(node, dict) else node)
            if isinstance(child, dict | list)
        ]
        if not level:
            return False
    return True
