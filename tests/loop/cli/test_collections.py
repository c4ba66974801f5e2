"""`fieldloop collections`, as it is typed."""

from __future__ import annotations

import json

import pytest

from loop.base.errors import ConfigError
from loop.gaps import coverage_view
from loop.insights.collections import all_collections
from tests.fakes import FakeParts, quiet
from tests.loop.cli.test_frames import run


def test_it_lists_makes_changes_and_shows(analyzed: FakeParts, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("loop.cli.collections.opened", lambda project: analyzed)
    assert "make the built-in ones" in run(analyzed, "collections")
    coverage_view.build(analyzed, quiet)
    listed = run(analyzed, "collections").splitlines()
    assert len(listed) == 7
    assert any(line.split()[1:3] == ["rules", "6"] and "night" in line for line in listed)
    made = run(analyzed, "collections", "add", "gate", "--frames", "camera=cam0", "--rule", "{crowd: 9}")
    number = made.split()[0]
    assert made.splitlines()[1:3] == ["    of the frames camera=cam0", "    9 boxes or more"]
    night = next(view.id for view in all_collections(analyzed.project) if view.name == "night")
    told = json.loads(run(analyzed, "collections", "show", str(night), "--json"))
    assert told["collection"]["inside"] == 6
    assert told["accuracy"] == []
    assert "accuracy: not known" in run(analyzed, "collections", "show", str(night))
    assert "north gate" in run(analyzed, "collections", "name", number, "north gate")
    assert "judged by rounds: no" in run(analyzed, "collections", "judge", number, "--off")
    assert "tab in Label Studio: yes" in run(analyzed, "collections", "tab", number)
    assert "retired" in run(analyzed, "collections", "retire", number)
    assert "north gate" not in run(analyzed, "collections")
    assert "north gate" in run(analyzed, "collections", "--all")
    assert "retired" not in run(analyzed, "collections", "restore", number)


def test_frames_are_put_in_and_kept_out(analyzed: FakeParts, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("loop.cli.collections.opened", lambda project: analyzed)
    frames = run(analyzed, "frames", "origin=production", "--ids").split()
    made = run(analyzed, "collections", "add", "these", "--example", frames[0], "--example", frames[1])
    number = made.split()[0]
    assert "2 examples" in made
    told = run(analyzed, "collections", "frames", number, "--add", frames[2], "--exclude", frames[0])
    assert "2 examples" in told
    assert "1 frame excluded by hand" in told


@pytest.mark.parametrize("arguments", [[], ["--sentence", "a photo", "--example", "1"]])
def test_either_rules_or_examples_are_asked_for(analyzed: FakeParts, arguments: list[str]) -> None:
    with pytest.raises(ConfigError, match=r"expected either rules .* or examples"):
        run(analyzed, "collections", "add", "nothing", *arguments)
