"""The voices that speak of a file in a folder, heard in the order that connectors.sources.metadata
gives.
"""

from __future__ import annotations

import posixpath
from pathlib import Path

from connectors.errors import SourceError
from connectors.images import read_exif
from connectors.ports import Refused
from connectors.pushed import is_pushed
from connectors.sources.metadata import CAMERA_LENGTH, Defaults, Facts, clean
from connectors.sources.names import Names
from connectors.sources.pattern import PathPattern
from connectors.sources.sidecars import (
    CsvSidecars,
    NothingUnderstood,
    Report,
    json_sidecar,
    read_json,
    to_facts,
)
from connectors.times import in_utc, zone


class Voices:
    """Facts of the files below root during one scan. report: told of what could not be used."""

    def __init__(self, root: Path, pattern: PathPattern | None, defaults: Defaults, report: Report) -> None:
        self._names = Names(defaults.columns)
        self._pattern = pattern
        self._defaults = defaults.facts
        self._start = defaults.start
        self._zone = zone(defaults.timezone)
        self._report = report
        self._refused: list[Refused] = []
        self._tables = CsvSidecars(root, self._refuse, self._names)
        self._told: set[tuple[str, str]] = set()
        self._misfits = 0
        self._misfit = ""

    def facts(self, key: str, path: Path) -> Facts:
        """What is known of one image. Never raises: a voice that cannot be understood is reported
        and left out.
        """
        facts = self.told(key, path)
        if facts.camera is None or facts.captured_at is None:
            facts = facts.over(self._from_exif(path))
        return facts.over(self._start)

    def told(self, key: str, path: Path) -> Facts:
        """What is known of a file without looking into it."""
        return self._from_sidecars(key, path).over(self._from_path(key)).over(self._defaults)

    def refused(self) -> list[Refused]:
        """Sidecars that could not be used, since this was asked last."""
        found, self._refused = self._refused, []
        return found

    def report_misfits(self) -> None:
        """Reports, in one line, how many files did not fit the pattern."""
        if self._pattern and self._misfits:
            self._report(
                self._misfit,
                f"expected names as in the pattern {self._pattern.text!r}, got {self._misfits} that differ,"
                " such as this one; what the pattern would say of them is taken from elsewhere",
            )

    def _refuse(self, key: str, problem: str) -> None:
        self._report(key, problem)
        self._refused.append(Refused(key, "bad_sidecar", problem))

    def _from_sidecars(self, key: str, path: Path) -> Facts:
        return self._from_json(key, path).over(self._from_table(key))

    def _from_json(self, key: str, path: Path) -> Facts:
        try:
            sidecar = json_sidecar(path)
            return read_json(sidecar, self._zone, self._names) if sidecar else Facts()
        except NothingUnderstood as error:
            where = posixpath.dirname(key) or "."
            if (where, str(error)) not in self._told:
                self._told.add((where, str(error)))
                self._refuse(where, f"its JSON sidecars, such as that of {key}, are left out: {error}")
            return Facts()
        except SourceError as error:
            self._refuse(key, f"its JSON sidecar is left out: {error}")
            return Facts()

    def _from_table(self, key: str) -> Facts:
        try:
            return to_facts(self._tables.values(key) or {}, self._zone)
        except SourceError as error:
            self._refuse(key, f"its row in the CSV is left out: {error}")
            return Facts()

    def _from_path(self, key: str) -> Facts:
        if self._pattern is None:
            return Facts()
        try:
            facts = self._pattern.facts(key, self._zone)
        except ValueError as error:
            self._report(key, f"expected a time as in the pattern {self._pattern.text!r}, got: {error}")
            return Facts()
        if facts is None and not is_pushed(key):
            self._misfits, self._misfit = self._misfits + 1, key
        return facts or Facts()

    def _from_exif(self, path: Path) -> Facts:
        exif = read_exif(path)
        try:
            captured_at = in_utc(exif.taken, self._zone) if exif.taken else None
        except ValueError:
            captured_at = None
        assumed = captured_at is not None and exif.taken is not None and exif.taken.tzinfo is None
        return Facts(camera=clean(exif.camera, CAMERA_LENGTH), captured_at=captured_at, zone_assumed=assumed)
