"""Configuration: who overrides whom, and what a mistake is answered with."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from loop.errors import ConfigError
from loop.settings import Settings, load_settings
from loop.strategies import STRATEGY_NAMES
from samplers import STRATEGIES


def settings_of(folder: Path, text: str) -> Settings:
    path = folder / "fieldloop.yaml"
    path.write_text(text, encoding="utf-8")
    return load_settings(path)


def test_the_defaults_are_valid() -> None:
    assert load_settings(None).select.budget == 100


def test_every_strategy_can_be_configured() -> None:
    assert list(STRATEGY_NAMES) == list(STRATEGIES)


def test_the_default_configuration_and_the_readme_list_every_strategy() -> None:
    root = Path(__file__).parents[2]
    for name in ("config/default.yaml", "README.md"):
        text = (root / name).read_text(encoding="utf-8")
        assert not [strategy for strategy in STRATEGY_NAMES if not re.search(rf"\b{strategy}\b", text)], name


def test_environment_beats_yaml_beats_defaults(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = "select: {budget: 7, daily_budget: 8}\nname: helmets\n"
    monkeypatch.setenv("FIELDLOOP_SELECT__BUDGET", "9")
    chosen = settings_of(tmp_path, text)
    assert (chosen.select.budget, chosen.select.daily_budget) == (9, 8)
    assert (chosen.select.max_per_sequence, chosen.name) == (3, "helmets")


def test_the_environment_may_hold_json(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FIELDLOOP_ROUND__TRAIN", '{"mosaic": 0}')
    assert settings_of(tmp_path, "").round.train == {"mosaic": 0}


def test_broken_json_in_the_environment_is_a_clear_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FIELDLOOP_ROUND__TRAIN", "mosaic: 0")
    with pytest.raises(ConfigError, match=r"environment: .*round.*expected JSON, for example"):
        settings_of(tmp_path, "")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("select:\n  budgt: 5\n", r"unknown key 'select\.budgt'; the nearest valid key is 'select\.budget'"),
        ("selct: 5\n", r"unknown key 'selct'; the nearest valid key is 'select'"),
        ("select: {budget: many}\n", r"select\.budget: expected a valid integer.*, got 'many'"),
        ("select: {budget: 0}\n", r"select\.budget: expected greater than or equal to 1, got 0"),
        ("select: {strategy: best}\n", r"select\.strategy: expected 'hybrid', .*, got 'best'"),
        ("gate: {alpha: 1}\n", r"gate\.alpha: expected less than 1, got 1"),
        ("select: 5\n", r"select: expected a valid dictionary.*, got 5"),
        ("name: ab\n", r"name: .* at least 3 characters, got 'ab'"),
        ("- select\n", "expected `key: value` lines, got a list"),
        ("select: {budget: 1\n", "expected YAML, got something unreadable"),
        ("1: one\n", "unknown key '1'"),
    ],
)
def test_a_mistake_names_key_expectation_and_what_was_found(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        settings_of(tmp_path, text)


def test_every_mistake_is_named_at_once(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        settings_of(tmp_path, "seed: -1\ngate: {margin: 2}\n")
    assert "seed: expected" in str(caught.value)
    assert "gate.margin: expected" in str(caught.value)


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        (
            "FIELDLOOP_SELECT__BUDGT",
            "5",
            r"unknown setting FIELDLOOP_SELECT__BUDGT .*the nearest valid key is 'select\.budget'",
        ),
        (
            "FIELDLOOP_SELECT__BUDGET",
            "many",
            r"environment variable FIELDLOOP_SELECT__BUDGET: expected a valid integer.*, got 'many'",
        ),
    ],
)
def test_a_mistake_in_the_environment_names_the_variable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str, value: str, said: str
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(ConfigError, match=said):
        settings_of(tmp_path, "")


def test_secrets_and_folders_in_the_environment_are_no_settings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("FIELDLOOP_LABEL_STUDIO_TOKEN", "FIELDLOOP_WEB_TOKEN", "FIELDLOOP_HOME"):
        monkeypatch.setenv(name, "hush")
    assert "hush" not in repr(settings_of(tmp_path, ""))


def test_a_secret_in_the_wrong_place_is_not_repeated(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"unknown key 'label_studio\.token'") as caught:
        settings_of(tmp_path, "label_studio: {token: hush}\n")
    assert "hush" not in str(caught.value)


def test_a_section_whose_lines_were_deleted_has_its_defaults(tmp_path: Path) -> None:
    assert settings_of(tmp_path, "select:\ngate:\n").select.budget == 100


def test_a_missing_file_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"expected a configuration file, found nothing; make one with"):
        load_settings(tmp_path / "fieldloop.yaml")
