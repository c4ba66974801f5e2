"""A demo's YAML: its world, and what it changes in the settings that config/demo.yaml gives every
demo.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

import config
from demo.world import World, parse_world
from loop.settings.messages import unknown_key
from loop.settings.settings import FREE_FORM, valid_keys

SHARED = config.FOLDER / "demo.yaml"
SECTIONS = ("world", "project", "demo")
CHOICES = ("budget", "batches", "weights")


class DemoError(ValueError):
    """A demo configuration that cannot be used, or a demo that cannot go on."""


@dataclass(frozen=True)
class Plan:
    """A demo's YAML. project: settings of the fieldloop project, dotted. budget: frames of one
    batch.

    weights: the model to deploy; None for one that was trained on such a world.
    """

    world: World
    project: dict[str, Any]
    budget: int
    batches: int
    weights: Path | None = None


def read_plan(path: Path) -> Plan:
    """Raises DemoError or WorldError naming what is wrong."""
    own, shared = _sections(path), _sections(SHARED)
    if not own["world"]:
        raise DemoError(f"{path}: expected a section `world:`, found none; see config/demo.yaml")
    choices = {"batches": 1} | shared["demo"] | own["demo"]
    if unknown := set(choices) - set(CHOICES):
        raise DemoError(
            f"{path}: demo: expected {', '.join(CHOICES[:-1])} or {CHOICES[-1]}, found"
            f" {', '.join(sorted(unknown))}"
        )
    return Plan(
        parse_world(own["world"], str(path)),
        _over(_settings(shared, SHARED), _settings(own, path)),
        _count(choices, "budget", path),
        _count(choices, "batches", path),
        _weights(own["demo"].get("weights"), path),
    )


def _sections(path: Path) -> dict[str, dict[str, Any]]:
    try:
        tree = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise DemoError(f"{path}: expected YAML, got something unreadable: {error}; mend the file") from error
    if not isinstance(tree, dict):
        raise DemoError(f"{path}: expected a section `world:`, found none; see config/demo.yaml")
    if unknown := set(map(str, tree)) - set(SECTIONS):
        raise DemoError(
            f"{path}: expected sections world, project and demo, found also {', '.join(sorted(unknown))}"
        )
    sections = {name: tree.get(name) or {} for name in SECTIONS}
    for name, section in sections.items():
        if not isinstance(section, dict):
            raise DemoError(
                f"{path}: {name}: expected `key: value` lines, got {section!r}; see config/demo.yaml"
            )
    return sections


def _settings(sections: Mapping[str, dict[str, Any]], path: Path) -> dict[str, Any]:
    settings = _dotted(sections["project"])
    known = valid_keys()
    for key in settings:
        if key not in known:
            raise DemoError(f"{path}: project: {unknown_key(key, known)}")
    return settings


def _dotted(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        if isinstance(value, dict) and f"{prefix}{key}" not in FREE_FORM:
            flat |= _dotted(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def _over(shared: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """`own` over `shared`, key by key, inside free-form settings too."""
    return {**shared, **{key: _one_over(shared.get(key), value) for key, value in own.items()}}


def _one_over(shared: Any, own: Any) -> Any:
    return {**shared, **own} if isinstance(shared, dict) and isinstance(own, dict) else own


def _count(choices: Mapping[str, Any], name: str, path: Path) -> int:
    value = choices[name]
    if type(value) is not int or value < 1:
        raise DemoError(f"{path}: demo.{name}: expected a whole number from 1, got {value!r}")
    return value


def _weights(name: str | None, path: Path) -> Path | None:
    """Named relative to the plan."""
    if not name:
        return None
    weights = (path.parent / name).resolve()
    if not weights.is_file():
        raise DemoError(
            f"{path}: demo.weights: expected a checkpoint, found no file {weights}; leave it out to train one"
        )
    return weights
