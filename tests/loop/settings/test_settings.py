"""Configuration: who overrides whom, and what a mistake is answered with."""

from __future__ import annotations

import re
from pathlib import Path
from unittest.mock import patch

import pytest

from connectors.errors import ModelError
from loop.base.errors import ConfigError
from loop.project.wiring import check_device
from loop.settings.settings import Settings, load_settings
from loop.settings.strategy_names import STRATEGY_NAMES
from samplers import STRATEGIES


def settings_of(folder: Path, text: str) -> Settings:
    path = folder / "fieldloop.yaml"
    path.write_text(text, encoding="utf-8")
    return load_settings(path)


def test_the_defaults_are_valid() -> None:
    assert load_settings(None).select.budget == 100


def test_every_strategy_can_be_configured() -> None:
    assert list(STRATEGY_NAMES) == list(STRATEGIES)


def test_the_default_configuration_and_the_explanation_list_every_strategy() -> None:
    root = Path(__file__).parents[3]
    for name in ("config/default.yaml", "docs/explanation/how-it-decides.md"):
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
    with pytest.raises(
        ConfigError,
        match=r"environment variable FIELDLOOP_ROUND__TRAIN: expected JSON, for example .*, got 'mosaic: 0'",
    ):
        settings_of(tmp_path, "")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("select:\n  budgt: 5\n", r"unknown key 'select\.budgt'; the nearest valid key is 'select\.budget'"),
        ("selct: 5\n", r"unknown key 'selct'; the nearest valid key is 'select'"),
        ("select: {budget: many}\n", r"select\.budget: expected a whole number, got 'many'"),
        ("select: {budget: 1.5}\n", r"select\.budget: expected a whole number, got 1\.5"),
        ("select: {budget: 0}\n", r"select\.budget: expected at least 1, got 0"),
        ("select: {budget: 1000000001}\n", r"select\.budget: expected at most 1000000000, got 1000000001"),
        ("round: {epochs: 100001}\n", r"round\.epochs: expected at most 100000, got 100001"),
        ("gaps: {prompts: perhaps}\n", r"gaps\.prompts: expected true or false, got 'perhaps'"),
        ("round: {lr0: 0}\n", r"round\.lr0: expected more than 0, got 0"),
        ("gate: {margin: wide}\n", r"gate\.margin: expected a number, got 'wide'"),
        ("name: 2026\n", r"name: expected text \(in quotes\), got 2026"),
        ("select: {strategy: best}\n", r"select\.strategy: expected 'hybrid', .*, got 'best'"),
        ("gate: {alpha: 1}\n", r"gate\.alpha: expected less than 1, got 1"),
        ("gate: {required: speed}\n", r"gate\.required: expected a list in brackets, got 'speed'"),
        ("select: 5\n", r"select: expected `key: value` lines, got 5"),
        ("name: ab\n", r"name: expected at least 3 characters, got 'ab'"),
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
            r"environment variable FIELDLOOP_SELECT__BUDGET: expected a whole number, got 'many'",
        ),
        (
            "FIELDLOOP_SELECT",
            "5",
            r"environment variable FIELDLOOP_SELECT: expected JSON, for example .*, got '5'",
        ),
        (
            "FIELDLOOP_FRAMES__TIMEZONE",
            "Mars/Phobos",
            r"environment variable FIELDLOOP_FRAMES__TIMEZONE: expected a name .*, got 'Mars/Phobos'",
        ),
        (
            "FIELDLOOP_SELECT",
            '{"budgt": 5}',
            r"unknown key 'select\.budgt'; the nearest valid key is 'select\.budget'",
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


def test_what_an_earlier_version_had_is_left_out_with_a_word(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """`init` writes every setting, so each older project has it."""
    settings = settings_of(tmp_path, "gate: {few_margin: 0.2, margin: 0.05}\n")
    assert settings.gate.margin == 0.05
    (record,) = caplog.records
    assert record.getMessage() == (
        f"{tmp_path / 'fieldloop.yaml'}: gate.few_margin is no setting any more and does nothing;"
        " delete the line"
    )


def test_a_missing_file_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"expected a configuration file, found nothing; make one with"):
        load_settings(tmp_path / "fieldloop.yaml")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "frames: {timezone: Mars/Phobos}\n",
            r"yaml: frames\.timezone: expected a name such as .*, got 'Mars/Phobos'",
        ),
        (
            "frames: {columns: {kamera: Tor}}\n",
            r"frames\.columns: expected file, camera, site, sequence, captured_at, each .*, got 'kamera'",
        ),
        ("select: {quotas: {night: 1.5}}\n", r"select\.quotas: expected a share below 1 or .*, got 1\.5"),
        (
            "select: {quotas: {a: 0.6, b: 0.6}}\n",
            r"select\.quotas: expected shares of at most 1 .*, got 1\.2",
        ),
        ('frames: {timezone: ""}\n', r"frames\.timezone: expected a name such as .*, got ''"),
        (
            'frames: {pattern: "{sight}/{n}.jpg"}\n',
            (
                r"yaml: frames\.pattern: '\{sight\}/\{n\}\.jpg': expected one of the fields .*; did you mean"
                r" \{site\}\?"
            ),
        ),
        ("schedule: {ingest: whenever}\n", r'yaml: schedule\.ingest: expected "30s", .*, got \'whenever\''),
        ('round: {at: "61 2 * *"}\n', r"yaml: round\.at: expected a five-field cron .*, got '61 2 \* \*'"),
        ('round: {at: "5m"}\n', r"yaml: round\.at: expected a five-field cron .*, got '5m'"),
        (
            "conditions: nope.yaml\n",
            r"conditions: expected a file .*, got 'nope\.yaml', .*; begin with a copy",
        ),
        ("detector: {imgsz: 33}\n", r"detector\.imgsz: expected a multiple of 32, got 33"),
        ("round: {imgsz: 16}\n", r"round\.imgsz: expected a multiple of 32, got 16"),
        ("embedder: {device: gpu}\n", r"embedder\.device: expected cpu, cuda, or the number .*, got 'gpu'"),
        ('detector: {device: "0,1"}\n', r"detector\.device: expected cpu, cuda, or the number .*, got '0,1'"),
        ('round: {device: "0;1"}\n', r"round\.device: expected .* or several such as 0,1, got '0;1'"),
        ("label_studio: {url: notaurl}\n", r"label_studio\.url: expected http\(s\)://host.*, got 'notaurl'"),
        (
            "label_studio: {url: 'ftp://x'}\n",
            r"label_studio\.url: expected http\(s\)://host.*, got 'ftp://x'",
        ),
    ],
)
def test_what_is_read_later_is_checked_at_once(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said) as caught:
        settings_of(tmp_path, text)
    assert "pydantic" not in str(caught.value)


def test_what_is_right_passes(tmp_path: Path) -> None:
    (tmp_path / "own.yaml").write_text("metadata: [camera]\n")
    chosen = settings_of(
        tmp_path,
        """
        frames: {timezone: Europe/Rome, pattern: "{site}/{camera}/{n}.jpg"}
        conditions: own.yaml
        schedule: {ingest: 5m, round: "0 2 * * 6", push: ""}
        round: {at: "0 2 * * 6", device: "0,1", imgsz: 96}
        detector: {device: 0}
        embedder: {device: cuda}
        label_studio: {url: "https://labels.example.org:8080"}
        """,
    )
    assert (chosen.detector.device, chosen.round.device, chosen.embedder.device) == ("0", "0,1", "cuda")
    assert (chosen.schedule.ingest, chosen.schedule.push) == ("5m", "")


def test_conditions_that_cannot_be_used_are_named(tmp_path: Path) -> None:
    (tmp_path / "own.yaml").write_text("metadata: [camra]\n")
    with pytest.raises(ConfigError, match=r"own\.yaml: metadata: .*got 'camra'; nearest valid: camera"):
        settings_of(tmp_path, "conditions: own.yaml\n")


@pytest.mark.parametrize(
    ("key", "variable"),
    [
        ("label_studio.token", "FIELDLOOP_LABEL_STUDIO_TOKEN"),
        ("web.token", "FIELDLOOP_WEB_TOKEN"),
        ("token", "FIELDLOOP_LABEL_STUDIO_TOKEN or FIELDLOOP_WEB_TOKEN"),
    ],
)
def test_a_token_in_the_file_is_answered_with_its_place(tmp_path: Path, key: str, variable: str) -> None:
    section, _, name = key.rpartition(".")
    text = f"{section}: {{{name}: hush}}\n" if section else f"{name}: hush\n"
    with pytest.raises(ConfigError) as caught:
        settings_of(tmp_path, text)
    assert str(caught.value).endswith(
        f"unknown key '{key}'; tokens stand in no file: set the environment variable {variable}"
    )


@pytest.mark.parametrize(
    ("variable", "value"),
    [("FIELDLOOP_LABEL_STUDIO__TOKEN", "hush"), ("FIELDLOOP_LABEL_STUDIO", '{"token": "hush"}')],
)
def test_a_token_under_a_wrong_variable_is_not_repeated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str, value: str
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(ConfigError, match="set the environment variable FIELDLOOP_LABEL_STUDIO_TOKEN") as one:
        settings_of(tmp_path, "")
    assert "hush" not in str(one.value)


def test_a_gpu_that_is_not_there_names_the_setting() -> None:
    for key, device in (("embedder.device", "cuda:7"), ("detector.device", "7"), ("round.device", "0,7")):
        with (
            patch("connectors.devices.gpus", lambda: 2),
            pytest.raises(
                ModelError,
                match=(
                    rf"{key}: expected cpu or a GPU of this machine \(numbers 0 to 1\), got '{device}';"
                    r" set it"
                ),
            ),
        ):
            check_device(key, device)
    with (
        patch("connectors.devices.gpus", lambda: 0),
        pytest.raises(ModelError, match=r"\(none\), got 'cuda'"),
    ):
        check_device("round.device", "cuda")
    check_device("round.device", "cpu")
