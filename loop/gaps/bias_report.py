"""What is said of classes that are tied to places, for people and for programs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pydantic import TypeAdapter

from loop.base.wording import counted, either, listed

FALSE_TIES = 0.05
"""Share of findings that may be false; where nothing is tied, of projects with any."""

Scope = Literal["labeled", "production"]
Choice = Literal["", "wanted", "ignored"]


@dataclass(frozen=True)
class Level:
    """A place. query: the address of its frames, "" where there is none."""

    name: str
    key: str
    query: str


@dataclass(frozen=True)
class Table:
    """How many frames of each place show each class.

    labeled, production: (K,) frames. labeled_with, production_with: (K)(C,) those that show it.
    """

    kind: str
    name: str
    levels: tuple[Level, ...]
    labeled: tuple[int, ...]
    labeled_with: tuple[tuple[int, ...], ...]
    production: tuple[int, ...]
    production_with: tuple[tuple[int, ...], ...]


@dataclass(frozen=True)
class Collect:
    """Frames that would loosen a tie.

    level: the place, as its table calls it. with_class: whether they are to show the class.
    wanted: so many, to even out what is labeled. available: unlabeled frames of production that seem
    to be such.
    """

    text: str
    level: str
    with_class: bool
    wanted: int
    available: int
    query: str


@dataclass(frozen=True)
class Tie:
    """A class and a way of telling places apart that were tested.

    id: what stays of it.
    more: whether the place shows more of the class than others do, or less.
    v: bias-corrected Cramer's V. p, q: by chance, alone and among all that was tested.
    odds: log-odds of the class in the place against elsewhere, interval 95 %.
    shown: whether chance does not explain it, with false discoveries held to 5 %.
    frames, showing: within the place. others, others_showing: elsewhere.
    also: other names for much the same place.
    led_by: id of the finding that stands for it, where another has much the same place.
    choice: what a person decided of it, with the reason.
    """

    id: str
    class_name: str
    kind: str
    factor: str
    place: str
    more: bool
    scope: Scope
    shown: bool
    v: float
    p: float
    q: float
    odds: float
    interval: tuple[float, float] | None
    frames: int
    showing: int
    others: int
    others_showing: int
    collect: tuple[Collect, ...] = ()
    also: tuple[str, ...] = ()
    led_by: str = ""
    choice: Choice = ""
    reason: str = ""

    @property
    def targeted(self) -> bool:
        """Whether selection looks for frames that loosen it: where the log-odds are clearly not 0, or a
        person wants it.
        """
        return self.choice == "wanted" or (self.told and self.strength > 0 and self.choice != "ignored")

    @property
    def strength(self) -> float:
        """Log-odds that are there at least, whichever way; 0 where the interval holds 0."""
        if self.interval is None:
            return 0.0
        low, high = self.interval
        return max(low, -high, 0.0)

    @property
    def clarity(self) -> float:
        """Log-odds in times of what chance may add to them."""
        return 0.0 if self.interval is None else abs(self.odds) / (self.interval[1] - self.odds)

    @property
    def told(self) -> bool:
        """Whether people are told of it."""
        return self.shown and not self.led_by


@dataclass(frozen=True)
class PlaceRecall:
    """How many labeled objects of a place the detector finds, against all other places.

    bounds: of the difference, together with those of all places of the kind; None: too few days.
    """

    kind: str
    place: str
    query: str
    objects: int
    found: int
    days: int
    recall: float
    elsewhere: float | None
    bounds: tuple[float, float] | None
    shown: bool


@dataclass(frozen=True)
class BiasReport:
    """What people and programs read of it.

    by_label, by_detection: production frames by what told of them. limits: by class, the score from
    which on a detection counts.
    lacking: what could not be told, and why.
    """

    classes: tuple[str, ...]
    labeled_frames: int
    by_label: int
    by_detection: int
    limits: dict[str, float]
    tables: tuple[Table, ...]
    ties: tuple[Tie, ...]
    recalls: tuple[PlaceRecall, ...]
    lacking: tuple[str, ...]

    @property
    def shown(self) -> tuple[Tie, ...]:
        """What people are told, and what they want to be looked for."""
        return tuple(tie for tie in self.ties if tie.told or tie.choice == "wanted")


def sentence(tie: Tie) -> str:
    """One finding in words."""
    return f"{headline(tie)}: {evidence(tie)}"


def headline(tie: Tie) -> str:
    """What was found: forklift is tied to site A."""
    return f"{tie.class_name} {'is tied to' if tie.more else 'is nearly absent from'} {place_name(tie)}"


def evidence(tie: Tie) -> str:
    """What it rests on."""
    seen = "labeled frames" if tie.scope == "labeled" else "production frames (labels, else detections)"
    between = f", 95 % interval {tie.interval[0]:.1f} to {tie.interval[1]:.1f}" if tie.interval else ""
    also = f"; also {listed(tie.also, 3)}" if tie.also else ""
    return (
        f"in {_share(tie.showing, tie.frames)} of its {seen}, in {_share(tie.others_showing, tie.others)} of"
        f" others (log-odds {tie.odds:.1f}{between}; V {tie.v:.2f}; q {tie.q:.3f}){also}"
    )


def place_name(tie: Tie, level: str = "") -> str:
    """The tie's place in words, or another level of it: site A, light: night."""
    place = level or tie.place
    match tie.kind:
        case "camera" | "site":
            return f"{tie.kind} {place}"
        case "scene":
            return place
        case _:
            return f"{tie.factor}: {place}"


def at_place(tie: Tie, level: str = "") -> str:
    """The same where frames are of it: at site A, in light: night."""
    return f"{'at' if tie.kind in ('camera', 'site') else 'in'} {place_name(tie, level)}"


def lines(report: BiasReport) -> list[str]:
    """For people."""
    production = counted(report.by_label + report.by_detection, "production frame")
    head = [
        f"{counted(report.labeled_frames, 'labeled frame')} to train on; {production}:"
        f" {report.by_label} told by labels, {report.by_detection} by detections above their class's limit"
    ]
    found = []
    for tie in report.shown:
        found.append(sentence(tie))
        if tie.choice == "ignored":
            found.append(f"    ignored: {tie.reason}")
            continue
        found += [
            f"    collect {one.text}: {one.wanted} wanted, {one.available} in the pool seem to be such"
            for one in tie.collect
        ]
        looked = "the next select looks for them (select.bias_share)"
        unclear = "no batch looks for them: the interval holds 0"
        found.append(f"    {looked if tie.targeted else unclear}")
    pairs = counted(len(report.ties), "pair")
    tested_pairs = f"{pairs} of a class and a place {either(len(report.ties), 'was', 'were')} tested"
    none = f"no class is tied to a place: {tested_pairs}, false findings held to {FALSE_TIES:.0%}"
    worse = [recall_sentence(row) for row in report.recalls if row.shown]
    return [*head, *(found or [none]), *worse, *(f"not told: {line}" for line in report.lacking)]


def recall_sentence(row: PlaceRecall) -> str:
    assert row.bounds is not None
    assert row.elsewhere is not None
    return (
        f"fewer objects are found at {row.kind} {row.place}: {row.recall:.0%} of {row.objects} against"
        f" {row.elsewhere:.0%} elsewhere, between {-row.bounds[1]:.0%} and {-row.bounds[0]:.0%} less"
        f" (bounds hold for every {row.kind} together)"
    )


REPORTS: TypeAdapter[BiasReport] = TypeAdapter(BiasReport)


def _share(part: int, whole: int) -> str:
    return f"{part / whole:.1%} ({part} of {whole})" if whole else "none"
