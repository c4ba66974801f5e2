"""Edits of fieldloop.yaml while the service runs: they count from its next start, and that is said."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from loop.base.errors import ConfigError
from loop.project.project import CONFIG_NAME, Project
from loop.settings.settings import Settings, load_settings


class SettingsWatch:
    """note: what is to be said of the file now, "" while it says what the service runs with."""

    def __init__(self, project: Project) -> None:
        self._path = project.root / CONFIG_NAME
        self._running = project.settings
        self._seen = _state(self._path)
        self.note = ""

    def look(self) -> str:
        """The note where it became another since the last look, else "". Costs a stat."""
        state = _state(self._path)
        if state == self._seen:
            return ""
        self._seen = state
        before, self.note = self.note, self._found()
        return self.note if self.note != before else ""

    def _found(self) -> str:
        try:
            now = load_settings(self._path)
        except (ConfigError, OSError) as error:
            return (
                f"{CONFIG_NAME} was changed and cannot be used: {error}; the service goes on with what it was"
                " started with, and would not start again"
            )
        changed = changed_keys(self._running, now)
        if not changed:
            return ""
        return f"{CONFIG_NAME} was changed ({', '.join(changed)}); it counts from the next start"


def changed_keys(before: Settings, after: Settings) -> list[str]:
    """Dotted names of the settings that differ; values are not shown, since some are secret."""
    old, new = (dict(_leaves(each.model_dump())) for each in (before, after))
    return sorted(key for key in old.keys() | new.keys() if old.get(key) != new.get(key))


def _leaves(tree: dict[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    found: list[tuple[str, Any]] = []
    for key, value in tree.items():
        name = f"{prefix}{key}"
        found += _leaves(value, f"{name}.") if isinstance(value, dict) else [(name, value)]
    return found


def _state(path: Path) -> tuple[int, ...]:
    try:
        found = path.stat()
    except OSError:
        return ()
    return found.st_ino, found.st_size, found.st_mtime_ns
