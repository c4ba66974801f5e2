"""The part of the page on small data that tells of the gate, from the results alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.gate.aims import FIGURES, Figure, Row, rows
from benchmarks.gate.chances import wilson
from benchmarks.gate.runs import NULLS
from benchmarks.gate.situations import GAPS, MENDED, Part, situations

Results = dict[str, Any]
HEAD = """## How often the gate is right

The gate decides whether a newly trained model, the candidate, replaces the deployed one.
Whether it decides well cannot be told from real rounds, because nobody knows which model was truly better.
So rounds are simulated here: frames with objects are drawn, and two models whose worth is known.
The gate sees what it would see in production, and we count how often it is right.

`python -m benchmarks.gate` measured this; it takes some minutes on two cores ({cpu} s of CPU).
The figures are those of commit {commit}{before}.

### How to read it

- A group is one camera on one day. "30 x 4" means 30 groups with 4 frames each.
- Frames of a group look alike, so 4 of them tell less than 4 frames of 4 groups.
- A slice is a named part of the frames: one camera, or a condition such as rain. The classes of objects are told apart as well.
- The gaps are {gaps} conditions in which the deployed model is weak. The round was made to mend them; they are its targets.
- AP50 says how well a model finds objects, from 0 to 1. mAP50-95 also asks that the boxes fit.
- Two trainings of one model never give the same answers. They differ by luck, and luck must not decide.
- A rate says in how many of the simulated rounds something happened: 0.05 is one round in twenty.
- The interval behind it is where the true rate lies, 95 times in a hundred. More rounds make it narrower.
- "Holds" sets the rate beside its aim. "No, by chance?" means that the interval still holds the aim.
{before_note}"""
BEFORE = '- "Before" is the gate as it was at commit {commit}, in rounds of the same kinds.\n'
WHY = """
Why, as far as it was looked into:

- A gain of .07 is about as large as what luck does to so few frames. Where the gate comes near the best possible, only more camera-days help.
- The gaps are often shown by fewer than 8 of 15 groups. Then the gate asks for a gain over all frames instead, where a gain on the gaps is small.
- Rates near one in twenty lie above it now and then by chance alone: many rows stand here.
"""
NOT_MEASURED = "not measured"
JUDGED_AGAIN = """The gate changed after these rounds. Their models were kept, and the verdicts here are those of the changed gate.
"""
RISE = 0.2
WORLDS = """### Ten real rounds: does it say yes?

The demo renders a world, trains on what the loop chose, and judges the candidate on the frames that were held out.
Each world has a seed of its own, with other scenes and other draws; 11 is the one that is shipped.
`python -m benchmarks.gate_worlds --keep` makes the {worlds} worlds.
In {rose} of them AP50 of the gaps rose by {rise} or more on scenes that neither training nor gate saw. The gate promoted {said} of these.
In {asked} worlds something was to be mended of which nothing was held out. The verdict names it. A project would wait for a person then
(`gate.when_unjudged: wait`); the demo has nobody to ask and sets `promote`.
"""


@dataclass(frozen=True, slots=True)
class Section:
    title: str
    text: str
    part: tuple[Part, ...]
    figures: tuple[str, ...]

    def members(self) -> Iterator[Figure]:
        return (each for each in FIGURES if each.part in self.part and each.name in self.figures)


SECTIONS = (
    Section(
        "Two equal models: is one promoted?",
        """Both models are trainings of the same skill, so the candidate deserves nothing.
Luck alone may promote it in at most one round of twenty.
That must also hold where the candidate's confidences are on another scale, or so coarse that many are equal.
It must hold where some frames weigh many times as much as others, and where luck differs from one camera-day to the next.
In the rows of ten, one candidate after the other is judged on the same frames.
There we count whether any of the ten was promoted.
""",
        ("equal", "series"),
        ("promoted",),
    ),
    Section(
        "Two equal models: is a fall told?",
        """Nothing fell, so whoever says that something fell is wrong.
With thirty slices there are many chances to be wrong, and all of them together must stay within one round of twenty.
Sometimes the gate asks a person to look, because few frames seem to have fallen far, or a fall is likely and not certain.
That costs a look and nothing else, so no aim is set for it.
""",
        ("equal",),
        ("fell", "asked"),
    ),
    Section(
        "A part of the frames is broken",
        f"""The candidate truly gains {MENDED} AP50 on the gaps, but finds almost nothing in one part of the frames.
It must not be promoted without a person.
The broken part is three frames in a hundred, everything of one camera, or a rare class that is forgotten altogether.
A class of few objects can be lost without any test showing it, so a person is asked where a class is found no more.
Where it is three in a hundred, few frames may show it, sometimes too few to tell anything.
So the rate is told of all rounds, and of those in which enough frames, objects and groups show it.
A candidate may also be held up because its gain was not shown; so we count as well how often the loss itself was noticed.
Where nobody named the part, nothing can know of it. That row has no aim: it shows what naming is worth.
""",
        ("broken",),
        ("held", "held, shown", "noticed", "shown"),
    ),
    Section(
        "Boxes that fit worse",
        """The candidate finds more on the gaps, but all its boxes fit worse.
AP50 rises and does not see that; mAP50-95 does.
Such a candidate must be blocked.
The table below the rates says how far both moved.
""",
        ("loose",),
        ("blocked",),
    ),
    Section(
        "A better model: is it promoted?",
        f"""The candidate is truly better, so it should be promoted.
With few frames a small gain looks like luck, and then no test can be sure.
How far that limits the gate, the column "best possible" says.
It is a test that knows how far luck moves AP50 in such rounds, from {NULLS} pairs of equal models; nobody has that in production.
It knows such rounds, but not the round at hand, so the gate can now and then do better.
Some wait for a person all the same, because a part of the frames may have fallen; the second half of the rows is without these.
"Usual luck" is that of the rows above. "Calm" means that two trainings differ half as much.
The aim is set for a candidate that gains .07 over all frames.
""",
        ("power",),
        ("promoted", "alone"),
    ),
)
COLUMNS = ("situation", "counted", "aim", "rate, 95 % interval", "rounds", "holds", "before")


def document(now: Results, before: Results | None, worlds: Sequence[Results] = ()) -> str:
    """Markdown of the gate as it is, beside the gate as it was, and of the demo's worlds."""
    head = HEAD.format(
        cpu=round(sum(each["cpu"] for each in now["situations"].values())),
        commit=now["commit"],
        gaps=GAPS,
        before=f", those before of commit {before['commit']}" if before else "",
        before_note=BEFORE.format(commit=before["commit"]) if before else "",
    )
    parts = [_section(section, now, before) for section in SECTIONS]
    told = [head, *([_worlds(worlds)] if worlds else []), *parts, _short_of(now)]
    return "\n".join(part for part in told if part).rstrip() + "\n"


def _worlds(worlds: Sequence[Results]) -> str:
    rose = [each for each in worlds if each["after"] - each["before"] >= RISE]
    said = sum(each["status"] == "promoted" for each in rose)
    asked = sum(bool(each["asks"]) for each in worlds)
    table = _table(
        [
            "world",
            "AP50 of the gaps, scenes nobody saw",
            "the gate saw",
            "by chance in",
            "verdict",
            "asks about",
        ],
        [_world(each) for each in worlds],
    )
    text = WORLDS.format(worlds=len(worlds), rise=RISE, rose=len(rose), said=said, asked=asked)
    again = JUDGED_AGAIN if any(each.get("judged_again") for each in worlds) else ""
    return f"{text}{again}\n{table}\n"


def _world(each: Results) -> list[str]:
    gate = each["gate"]
    saw = f"{gate['before']:.3f} to {gate['after']:.3f}, {gate['frames']} frames of {gate['groups']} groups"
    asks = ", ".join(name.removeprefix("no fall: ") for name in each["asks"])
    chance = f"{100 * gate['statistic']:.2f} % of cases"
    return [
        str(each["seed"]),
        f"{each['before']:.3f} to {each['after']:.3f}",
        saw,
        chance,
        each["status"],
        asks,
    ]


def lines(section: Section) -> Iterator[Row]:
    for figure in section.members():
        yield from rows(figure, situations())


def _section(section: Section, now: Results, before: Results | None) -> str:
    found = [row for row in lines(section) if row.rate(now["situations"])]
    if not found:
        return ""
    best = any(_oracle(row, now) for row in found)
    table = _table(
        [*COLUMNS, *(["best possible"] if best else [])],
        [[*_cells(row, now, before), *([_oracle(row, now)] if best else [])] for row in found],
    )
    moved = _moved(found, now) if {"loose", "power"} & set(section.part) else ""
    return "\n".join([f"### {section.title}\n", section.text, table, moved]).rstrip() + "\n"


def _cells(row: Row, now: Results, before: Results | None) -> list[str]:
    rate, former = row.rate(now["situations"]), row.rate(before["situations"]) if before else None
    aim, holds = row.aim.text if row.aim else "", row.aim.judged(*rate) if row.aim and rate else ""
    told = [_told(rate), str(rate[1]) if rate else ""]
    return [row.situation.name, row.figure.means, aim, *told, holds, _told(former) if former else ""]


def _told(rate: tuple[int, int] | None) -> str:
    if rate is None:
        return NOT_MEASURED
    low, high = wilson(*rate)
    return f"{rate[0] / rate[1]:.3f} ({low:.3f} to {high:.3f})"


def _oracle(row: Row, now: Results) -> str:
    yes, of = now["situations"].get(row.situation.key, {}).get("said", {}).get("oracle", (0, 0))
    return f"{yes / of:.3f}" if of else ""


def _moved(found: list[Row], now: Results) -> str:
    """What both models are worth on average."""
    told = [
        [row.situation.name, measure, f"{worth[f'{measure} before']:.3f}", f"{worth[f'{measure} after']:.3f}"]
        for row in found
        for worth in [now["situations"][row.situation.key]["worth"]]
        for measure in sorted({name.rsplit(" ", 1)[0] for name in worth})
    ]
    said = (
        "Mean over the rounds, on the gaps where not said otherwise, or on all frames where there are none:\n"
    )
    return f"{said}\n{_table(['situation', 'measure', 'deployed', 'candidate'], told)}"


def _short_of(now: Results) -> str:
    missed = list(_missed(now))
    said = "Every aim holds.\n" if not missed else "These aims do not hold:\n"
    return "\n".join(["### What of the gate fell short\n", said, *missed, *([WHY] if missed else [])])


def _missed(now: Results) -> Iterator[str]:
    for section in SECTIONS:
        for row in lines(section):
            rate = row.rate(now["situations"])
            if row.aim and rate and (holds := row.aim.judged(*rate)) != "yes":
                best = f"; the best possible is {found}" if (found := _oracle(row, now)) else ""
                what = f"{row.situation.key}, {row.figure.means}"
                yield f"- {what}: {_told(rate)}, aim {row.aim.text}{best}. Holds: {holds}"


def _table(head: list[str], told: list[list[str]]) -> str:
    written = ["| " + " | ".join(each) + " |" for each in [head, *told]]
    return "\n".join([written[0], "|" + "---|" * len(head), *written[1:], ""])
