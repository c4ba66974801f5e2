"""Defaults that the help shows are those of the settings."""

from __future__ import annotations

from typing import get_args, get_type_hints

import pytest

from loop.cli.bench import bench_replay
from loop.replay.settings import ReplaySettings


@pytest.mark.parametrize("key", ["rounds", "budget"])
def test_the_help_of_a_replay_shows_its_own_defaults(key: str) -> None:
    _, option = get_args(get_type_hints(bench_replay, include_extras=True)[key])
    assert option.show_default == str(ReplaySettings.model_fields[key].default)
