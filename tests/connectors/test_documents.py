"""YAML and JSON of strangers end in a clear error, soon and in little memory, never in a traceback."""

from __future__ import annotations

import json
import time
import tracemalloc

import pytest

from connectors.documents import MAX_DEPTH, parse_json, parse_yaml

LAUGHS = "a: &a [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{new}: &{new} [{', '.join([f'*{old}'] * 10)}]\n"
    for old, new in zip("abcdefghi", "bcdefghij", strict=True)
)
HOSTILE = {
    "laughs": (LAUGHS, "expected at most 200,000 values"),
    "itself": ("a: &a [1, *a]", "an alias within the value that it stands for"),
    "brackets": ("a: " + "[" * 100_000, "within one another"),
    "indents": ("- " * 200_000 + "x", "within one another"),
    "tag": ("a: !!python/object/apply:os.system [true]", "could not determine a constructor"),
    "long": ("a: " + "x" * 3_000_000, "expected at most 2,000,000 characters"),
    "number": ("a: " + "9" * 50_000, "Exceeds the limit"),
    "date": ("a: 2026-99-99", "month must be in 1..12"),
    "control": ("a: \x00\x01", "control characters are not allowed|special characters"),
    "key": ("? [a, b]\n: c", "unhashable|unacceptable key"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_yaml_is_refused_soon_and_small(name: str) -> None:
    text, said = HOSTILE[name]
    tracemalloc.start()
    begun = time.process_time()
    with pytest.raises(ValueError, match=said) as caught:
        parse_yaml(text)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert time.process_time() - begun < 5
    assert peak < 100_000_000
    assert len(str(caught.value)) < 2000
    assert "\n" not in str(caught.value)


def test_usual_yaml_is_read_with_its_aliases() -> None:
    assert parse_yaml("base: &b {x: 1}\none: *b\ntwo: {<<: *b, y: .5}\n") == {
        "base": {"x": 1},
        "one": {"x": 1},
        "two": {"x": 1, "y": 0.5},
    }
    assert parse_yaml("") is None
    names = {number: f"class {number}" for number in range(2000)}
    assert parse_yaml("names:\n" + "".join(f"  {k}: {v}\n" for k, v in names.items())) == {"names": names}


@pytest.mark.parametrize("depth", [MAX_DEPTH + 2, 500, 200_000])
@pytest.mark.parametrize("pair", ["[]", '{"a":}'])
def test_deep_json_is_refused(depth: int, pair: str) -> None:
    opening, closing = (pair[0], pair[-1]) if pair == "[]" else ('{"a":', "}")
    with pytest.raises(ValueError, match="within one another"):
        parse_json(opening * depth + "1" + closing * depth)


def test_other_json_is_as_the_library_reads_it() -> None:
    tree = {"images": [{"id": 1, "bbox": [1.5, 2, 3, 4]}], "x": None}
    assert parse_json(json.dumps(tree)) == tree
    assert parse_json("[" * 60 + "1" + "]" * 60)
    for text in ("", "{", "{'a': 1}", "9" * 50_000):
        with pytest.raises(ValueError, match=r"."):
            parse_json(text)
