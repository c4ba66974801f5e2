"""What a wrong setting is answered with: its key, what was expected, what was found, and where to
look next.
"""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Collection, Mapping
from typing import Any

from pydantic import ValidationError

PREFIX = "FIELDLOOP_"
DELIMITER = "__"
SECRETS = {"label_studio": f"{PREFIX}LABEL_STUDIO_TOKEN", "web": f"{PREFIX}WEB_TOKEN"}
EXPECTED = {
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "float_parsing": "a number",
    "finite_number": "a finite number",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "string_type": "text (in quotes)",
    "string_too_short": "at least {min_length} characters",
    "string_too_long": "at most {max_length} characters",
    "greater_than": "more than {gt:.12g}",
    "greater_than_equal": "at least {ge:.12g}",
    "less_than": "less than {lt:.12g}",
    "less_than_equal": "at most {le:.12g}",
    "multiple_of": "a multiple of {multiple_of:.12g}",
    "literal_error": "{expected}",
    "dict_type": "`key: value` lines",
    "tuple_type": "a list in brackets",
    "model_type": "`key: value` lines",
    "missing": "a value",
}


def variable_of(dotted: str) -> str:
    """The environment variable of a setting."""
    return PREFIX + dotted.upper().replace(".", DELIMITER)


def unknown_key(dotted: str, keys: Collection[str]) -> str:
    """What is wrong with it. Its value is not shown: it may be a secret that somebody put in the
    wrong place.
    """
    return f"unknown key {dotted!r}; {right_place(dotted, keys)}"


def right_place(dotted: str, keys: Collection[str]) -> str:
    """The nearest valid key; for a token, the environment variable that holds it."""
    section, _, name = dotted.rpartition(".")
    if name == "token":
        variable = SECRETS.get(section) or " or ".join(SECRETS.values())
        return f"tokens stand in no file: set the environment variable {variable}"
    close = difflib.get_close_matches(dotted, sorted(keys), n=1, cutoff=0.3)
    return f"the nearest valid key is {close[0]!r}" if close else f"valid keys are {', '.join(sorted(keys))}"


def explain(error: ValidationError, source: str, keys: Collection[str]) -> str:
    """A line for every mistake."""
    lines = [_line(item, source, keys) for item in error.errors()]
    return "\n".join([*lines, "every key is explained in config/default.yaml"])


def _line(item: Mapping[str, Any], source: str, keys: Collection[str]) -> str:
    dotted = ".".join(str(part) for part in item["loc"])
    variable = variable_of(dotted)
    if item["type"] == "extra_forbidden":
        return f"{source}: {unknown_key(dotted, keys)}"
    where = f"environment variable {variable}" if variable in os.environ else f"{source}: {dotted}"
    if item["type"] == "value_error":
        return f"{where}: {_without_key(str(item['ctx']['error']), dotted)}"
    expected = EXPECTED.get(item["type"], str(item["msg"])).format(**item.get("ctx", {}))
    return f"{where}: expected {expected}, got {item.get('input')!r}"


def _without_key(message: str, dotted: str) -> str:
    """A parser may name what it reads, in its own words; here the key stands before it already."""
    return re.sub(rf"^(?:{re.escape(dotted)}|{re.escape(dotted.rpartition('.')[2])}):? ", "", message)
