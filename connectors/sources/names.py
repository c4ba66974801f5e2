"""What columns and keys of sidecars are called, and how a table is divided."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from connectors.errors import SourceError

FACTS = ("camera", "site", "sequence", "captured_at")
WANTED = ("file", *FACTS)
_USUAL = {
    "file": ("file", "filename", "filepath", "path", "image", "imagename", "imagefile", "imagepath", "frame"),
    "camera": ("camera", "cameraid", "cameraname", "cam", "camid", "device", "deviceid", "devicename"),
    "site": ("site", "siteid", "sitename", "location", "locationid"),
    "sequence": ("sequence", "sequenceid", "seqid", "burst", "burstid", "clip", "clipid"),
    "captured_at": (
        "capturedat",
        "captured",
        "capturetime",
        "timestamp",
        "datetime",
        "datetimeoriginal",
        "takenat",
        "recordedat",
        "time",
        "date",
    ),
}
"""By what is wanted, usual names without blanks, dashes and underscores, in the order of trust."""
DELIMITERS = (",", ";", "\t", "|")
_BOMS = ((b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"))


@dataclass(frozen=True)
class Names:
    """own: by what is wanted, the name that a setting gives it; it goes before the usual ones."""

    own: Mapping[str, str] = field(default_factory=dict)

    def of(self, columns: Iterable[str]) -> dict[str, tuple[str, ...]]:
        """By what is wanted, the columns that hold it: one; or, of a time, a date and a time of day."""
        given = list(columns)
        plain = {_plain(name): name for name in reversed(given)}
        found: dict[str, tuple[str, ...]] = {}
        for wanted, usual in _USUAL.items():
            if wanted in self.own:
                found |= {wanted: (self.own[wanted],)} if self.own[wanted] in given else {}
            elif known := [plain[name] for name in usual if name in plain]:
                found[wanted] = (known[0],)
        if found.get("captured_at") == (plain.get("time"),) and "date" in plain:
            found["captured_at"] = (plain["date"], plain["time"])
        return found


USUAL_NAMES = Names()


def value_of(row: Mapping[str, object], columns: tuple[str, ...]) -> object:
    """What a row holds in these columns, joined by a blank where there are several."""
    if len(columns) == 1:
        value = row.get(columns[0])
        return value.strip() if isinstance(value, str) else value
    parts = (str(row.get(column) or "").strip() for column in columns)
    return " ".join(part for part in parts if part)


def expected(columns: Iterable[str]) -> str:
    """That none of these columns is understood, which are wanted, and what to do."""
    return (
        f"expected a column file and one of {', '.join(FACTS)}, got {', '.join(columns) or 'none'};"
        " rename them, or say what is what in frames.columns"
    )


def read_table(path: Path) -> Iterator[dict[str, str]]:
    """The rows of a CSV, by column; divided by comma, semicolon, tab or bar, whichever its first line
    has most.

    The first that comes is the header alone, each column as its own value. Raises SourceError for
    what is no text, OSError.
    """
    data = path.read_bytes()
    coding = next((name for bom, name in _BOMS if data.startswith(bom)), "utf-8-sig")
    try:
        text = data.decode(coding)
        first = text.partition("\n")[0]
        lines = text.splitlines(keepends=True)
        rows = csv.reader(lines, delimiter=max(DELIMITERS, key=first.count), skipinitialspace=True)
        header = [name.strip() for name in next(rows, [])]
        yield dict(zip(header, header, strict=True))
        for row in rows:
            if any(cell.strip() for cell in row):
                yield dict(zip(header, row, strict=False))
    except (UnicodeDecodeError, csv.Error, ValueError) as error:
        raise SourceError(
            f"expected a CSV in UTF-8, got: {error}; save it again as UTF-8, in Excel as 'CSV UTF-8'"
        ) from error


def _plain(name: str) -> str:
    return "".join(letter for letter in name.casefold() if letter.isalnum())
