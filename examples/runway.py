"""A walk through real data: a runway detector trained in dry, bright weather meets the dark, the
dim and the wet.

    python examples/runway.py --data ../shared/data [--small | --tiny] [--out DIR] [--clip small]

FOD-A's labels play three parts that do not meet: some are the team's training set, some are what
the stand-in labeler knows, and some judge the models at the end. fieldloop sees images, a camera's
name, sequences and times; of light and weather it is told nothing.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runway_data import CELLS, KNOWN, Layout, Sizes, describe, divide, keep_truth, read_frames, write_layout
from steps import (
    Teller,
    average_precision,
    data_folder,
    fieldloop,
    fieldloop_json,
    fine_tune,
    keep_results,
    table,
)

from connectors.files import sha256_of_file
from demo.annotator import Annotator, Truth

WEIGHTS = Path("weights") / "yolov8n_from_int8.pt"
CONDITIONS = ("dark", "dim", "wet")
SEED = 0
CLEARER = 1.3
SHOWN = 8
Scores = dict[str, dict[str, tuple[float, float]]]
"""(AP50, AP50-95) by held-out cell, before and after."""


@dataclass(frozen=True)
class Form:
    """How much of everything."""

    sizes: Sizes
    imgsz: int
    epochs: int
    round_epochs: int
    budget: int


FULL = Form(Sizes(train=60, production=24, held_out=12), imgsz=224, epochs=30, round_epochs=20, budget=160)
SMALL = Form(Sizes(train=12, production=8, held_out=6), imgsz=224, epochs=10, round_epochs=6, budget=80)
TINY = Form(Sizes(train=6, production=6, held_out=4), imgsz=160, epochs=2, round_epochs=1, budget=40)
FORMS = {"full": FULL, "small": SMALL, "tiny": TINY}


@dataclass(frozen=True)
class Finding:
    """A gap beside the truth that was withheld. shares: of its example frames, by condition. finds:
    conditions it stands for.
    """

    name: str
    kind: str
    production_share: float
    examples: int
    shares: dict[str, float]
    finds: tuple[str, ...]


def main() -> None:
    given = _arguments()
    data = data_folder(given.data, str(WEIGHTS))
    source = data_folder(data / "fod_a", "meta.csv")
    out = (given.out or Path(tempfile.mkdtemp(prefix="fieldloop-runway-"))).resolve()
    form = FORMS[given.form]
    teller, project = Teller(), out / "project"
    shutil.rmtree(project, ignore_errors=True)

    with teller.step(
        "data", f"FOD-A is divided by whole sequences: {KNOWN} trains, the rest is production (in {out})"
    ):
        layout, parts = _divide(source, out, form.sizes)
    with teller.step("training", "The team trains its detector on the training set, as it did before"):
        base = fine_tune(
            data / WEIGHTS, layout.dataset, out / "team", epochs=form.epochs, imgsz=form.imgsz
        ).absolute()
    with teller.step("frames", "A fieldloop project is made; the camera's frames are taken in and analyzed"):
        _init(project, layout, base, given.clip, form)
        fieldloop("ingest", "--project", project)
        fieldloop("analyze", "--project", project)
    with teller.step("gaps", "What does production show that the training set lacks?"):
        gaps = fieldloop_json("gaps", "--project", project, "--html", out / "gaps.html")["gaps"]
        findings = [compare(gap, project / "store", layout) for gap in gaps]
        _show_findings(findings)
    with teller.step("labels", "Frames are chosen, and a stand-in person labels them in a real Label Studio"):
        answered = _label(project, layout, form.budget)
    with teller.step("round", "One round: freeze, retrain, judge"):
        row = fieldloop_json("round", "start", "--project", project)
    with teller.step("scores", "Both models on the held-out sequences, which nobody saw until now"):
        scores = _scores(base, _candidate(project, row), layout, out / "scores", form.imgsz)
    found = {
        condition: [each.name for each in findings if condition in each.finds] for condition in CONDITIONS
    }
    _show_end(found, scores, row)
    setting = {"form": given.form, "clip": given.clip, "parts": parts}
    gaps_found = {"gaps": [vars(each) for each in findings], "found": found, "answered": answered}
    seconds = {"seconds": teller.seconds}
    keep_results(out / "results.json", setting | gaps_found | _figures(scores, row) | seconds)


def compare(gap: dict[str, Any], store: Path, layout: Layout) -> Finding:
    """A gap finds a condition when more than half of its example frames show it, and clearly more
    than production as a whole.

    A class that training lacks is no light and no weather, whatever its frames happen to show: it
    finds nothing here.
    """
    shown = [layout.conditions[sha256_of_file(store / path)] for path in gap["examples"]]
    everywhere = list(layout.conditions.values())
    shares = {condition: _share(shown, condition) for condition in CONDITIONS}
    finds = tuple(
        condition
        for condition, share in shares.items()
        if gap["kind"] != "class" and share > max(0.5, CLEARER * _share(everywhere, condition))
    )
    return Finding(gap["name"], gap["kind"], gap["production_share"], len(shown), shares, finds)


def _divide(source: Path, out: Path, sizes: Sizes) -> tuple[Layout, dict[str, dict[str, int]]]:
    """Where the parts lie, and how large they are."""
    parts = divide(read_frames(source), sizes)
    layout = write_layout(source, out / "data", parts, SEED)
    keep_truth(out / "withheld.json", layout)
    described = describe(parts)
    _show_parts(described)
    return layout, described


def _scores(base: Path, candidate: Path, layout: Layout, folder: Path, imgsz: int) -> Scores:
    models = {"before": base, "after": candidate}
    return {
        cell: {when: average_precision(model, test, folder, imgsz=imgsz) for when, model in models.items()}
        for cell, test in layout.tests.items()
    }


def _figures(scores: Scores, row: dict[str, Any]) -> dict[str, Any]:
    """What the round and the held-out sequences say, as it is kept."""
    ap = {
        cell: {when: {"ap50": round(ap50, 6), "ap": round(ap, 6)} for when, (ap50, ap) in both.items()}
        for cell, both in scores.items()
    }
    checks = [check["text"] for check in (row["verdict"] or {}).get("checks", [])]
    return {"ap": ap, "round": {"status": row["status"], "checks": checks}}


def _share(frames: Sequence[frozenset[str]], condition: str) -> float:
    return round(sum(condition in each for each in frames) / max(len(frames), 1), 3)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description="A runway detector meets light and weather it was not trained for."
    )
    parser.add_argument(
        "--data",
        type=Path,
        default=Path(os.environ.get("FIELDLOOP_DATA") or "../shared/data"),
        help="folder that holds fod_a and weights; FIELDLOOP_DATA when left out",
    )
    parser.add_argument("--out", type=Path, help="where to work; a new temporary folder when left out")
    parser.add_argument("--clip", default="small", help="as for `fieldloop init`")
    forms = parser.add_mutually_exclusive_group()
    for name, words in (
        ("small", "fewer frames and epochs: minutes on two cores"),
        ("tiny", "every step over very few frames; what is gained says nothing"),
    ):
        forms.add_argument(f"--{name}", dest="form", action="store_const", const=name, help=words)
    parser.set_defaults(form="full")
    return parser.parse_args()


def _init(project: Path, layout: Layout, base: Path, clip: str, form: Form) -> None:
    settings = {
        "detector.imgsz": form.imgsz,
        "select.max_per_sequence": 6,
        "round.epochs": form.round_epochs,
        "gate.when_unjudged": "promote",  # nobody is there to decide
        "round.imgsz": form.imgsz,
    }
    chosen = [word for key, value in settings.items() for word in ("--set", f"{key}={value}")]
    fieldloop(
        "init",
        project,
        "--dataset",
        layout.dataset,
        "--weights",
        base,
        "--frames",
        layout.frames,
        "--clip",
        clip,
        *chosen,
    )


def _label(project: Path, layout: Layout, budget: int) -> int:
    """How many tasks were answered."""
    fieldloop("labelstudio", "start", "--project", project)
    try:
        chosen = fieldloop_json("select", "--project", project, "--budget", str(budget))["chosen"]
        _show_chosen(chosen)
        pushed = fieldloop_json("push", "--project", project)
        url = fieldloop_json("labelstudio", "status", "--project", project)["url"]
        secret = json.loads((project / "labelstudio" / "credentials.json").read_text(encoding="utf-8"))
        person = Annotator(url, secret["token"], Truth(layout.boxes))
        answered = person.answer_all(pushed["project_id"], lambda done, total, what: None)
        print(f"   the stand-in person looked at {answered} frames and drew what is there", flush=True)
        fieldloop("pull", "--project", project)
    finally:
        fieldloop("labelstudio", "stop", "--project", project)
    return answered


def _candidate(project: Path, row: dict[str, Any]) -> Path:
    models = fieldloop_json("models", "list", "--project", project)
    return project / next(str(model["path"]) for model in models if model["id"] == row["candidate_id"])


def _show_parts(parts: dict[str, dict[str, int]]) -> None:
    rows = [
        [name, str(part["frames"]), str(part["sequences"]), str(part["classes"])]
        for name, part in parts.items()
    ]
    table(["part", "frames", "sequences", "classes"], rows)


def _show_findings(findings: Sequence[Finding]) -> None:
    rows = [
        [
            each.name,
            f"{each.production_share:.0%}",
            *(f"{each.shares[condition]:.0%}" for condition in CONDITIONS),
            ", ".join(each.finds) or "-",
        ]
        for each in findings
    ]
    table(["gap, beside the withheld truth", "of production", *CONDITIONS, "finds"], rows)


def _show_chosen(chosen: Sequence[dict[str, Any]]) -> None:
    print(f"   {len(chosen)} frames are chosen, the most valuable first:")
    for each in chosen[:SHOWN]:
        print(f"     {each['reason']}")
    print(f"     and {max(len(chosen) - SHOWN, 0)} more")


def _show_end(found: dict[str, list[str]], scores: Scores, row: dict[str, Any]) -> None:
    print(f"\nThe round ended {row['status']}.")
    for check in (row["verdict"] or {}).get("checks", []):
        if check["status"] == "fail":
            print(f"   {check['text']}")
    for condition, gaps in found.items():
        print(f"{condition:<5} {'found by ' + '; '.join(gaps) if gaps else 'not found'}")
    rows = []
    for cell in CELLS:
        (before50, before), (after50, after) = scores[cell]["before"], scores[cell]["after"]
        rows.append(
            [
                cell,
                f"{before50:.3f}",
                f"{after50:.3f}",
                f"{after50 - before50:+.3f}",
                f"{before:.3f}",
                f"{after:.3f}",
                f"{after - before:+.3f}",
            ]
        )
    table(["held-out sequences", "AP50 before", "after", "change", "AP50-95 before", "after", "change"], rows)


if __name__ == "__main__":
    main()
