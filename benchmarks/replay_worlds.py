"""Labeled data for `fieldloop bench replay`: a data.yaml, frames.csv with what is known of each
frame, and replay.yaml.

    python -m benchmarks.replay_worlds planted --seed 31 --out runs/planted five gaps of 3 % each, rendered
    python -m benchmarks.replay_worlds plain   --seed 31 --out runs/plain   the same with nothing rare
    python -m benchmarks.replay_worlds fod     --out runs/fod               FOD-A with its light and weather (FIELDLOOP_DATA)
    python -m benchmarks.replay_worlds fod     --out runs/fod-x5 --copies 5 every image five times
    python -m benchmarks.replay_worlds fod     --out runs/fod-even --most 14  as many of each sequence
    python -m benchmarks.replay_worlds strong  --out runs/planted           a base trained on with strong augmentation, for that folder

Then: fieldloop bench replay --dataset runs/planted
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import io
import json
import os
import shutil
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from PIL import Image as Pil

import config
from connectors.files import sha256_of_file
from connectors.ports import TrainSpec
from connectors.yolo.trainer import YoloTrainer
from demo.deployed import CARRIED
from demo.plan import read_plan
from demo.world import World, rendered
from loop.datasets.export import label_line
from loop.replay.data import load_data
from loop.replay.settings import RECIPE, ReplaySettings, read_settings
from loop.replay.split import LABELED

TUNED = frozenset({11, 103, 104, 105})
"""Worlds on which the shares of the default were set."""
COLUMNS = ("file", "camera", "site", "sequence", "captured_at")
STRONG = {
    "hsv_h": 0.03,
    "hsv_s": 0.7,
    "hsv_v": 0.6,
    "scale": 0.5,
    "translate": 0.2,
    "rect": False,
}
RENDERED_FORM: dict[str, object] = {
    "held_out": ["part=held out"],
    "labeled": ["part=labeled"],
    "test": ["part=test"],
    "slices": ["gap"],
    "weight_by": "gap",
}
FOD_FORM: dict[str, object] = {
    "slices": ["weather+light"],
    "rare_share": 0.2,
    "imgsz": 224,
    "initial": 0.04,
    "test_share": 0.25,
    "epochs": 5,
    "passes": 400,
}
INITIAL = 0.04
"""Share of FOD-A's different images that is labeled before the first round."""
CELLS = frozenset({("dry", "bright"), ("dry", "dim"), ("dry", "dark"), ("wet", "dim")})
Row = dict[str, str]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("form", choices=["planted", "plain", "fod", "strong"])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seed", type=int, help="of the world; the plan's own when left out")
    parser.add_argument("--world", type=Path, help="a folder in which this world was rendered before")
    parser.add_argument(
        "--data", type=Path, default=Path(os.environ.get("FIELDLOOP_DATA") or "../shared/data")
    )
    parser.add_argument("--copies", type=int, default=1, help="of every image of FOD-A, each compressed anew")
    parser.add_argument(
        "--most", type=int, default=0, help="frames of one sequence of FOD-A, evenly spaced; 0 = all"
    )
    parser.add_argument(
        "--all-classes", action="store_true", help="of FOD-A, also those that some conditions lack"
    )
    parser.add_argument("--epochs", type=int, default=6, help="of the strong base")
    parser.add_argument("--device", default="cpu", help="for the strong base: cpu, or the number of a GPU")
    options = parser.parse_args()
    if options.form == "strong":
        weights = strong_base(options.out, options.epochs, options.device)
        print(
            f"next: fieldloop bench replay --dataset {options.out} --weights {weights} --name"
            f" {options.out.name}-strong"
        )
        return
    if options.form == "fod":
        fod(options.data / "fod_a", options.data / "weights" / "yolov8n_from_int8.pt", options.out, options)
    else:
        world(options.out, options.form == "plain", options.seed, options.world)
    print(f"next: fieldloop bench replay --dataset {options.out}")


def world(out: Path, plain: bool, seed: int | None, folder: Path | None) -> None:
    """The demo's world as a labeled dataset: its training set, its production with the truth, its
    held-out scenes.
    """
    described = described_world(plain, seed)
    home = folder or out / "rendered"
    if folder is not None:
        _check_rendered(described, folder)
    rendered(described, home, lambda done, total: print(f"rendering {done}/{total}", end="\r", flush=True))
    _afresh(out)
    rows = [*_training(home, out), *_production(home, out, described), *_held_out(home, out)]
    _describe(
        out,
        described.classes,
        rows,
        RENDERED_FORM | {"weights": str((CARRIED / "base.pt").absolute())},
    )


def described_world(plain: bool, seed: int | None) -> World:
    """The demo's, or one whose production is like its training set."""
    planned = read_plan(config.FOLDER / "demo.yaml").world
    content = planned.model_dump(mode="json", by_alias=True)
    if seed is not None:
        content["seed"] = seed
    if content["seed"] in TUNED:
        print(f"note: the default was tuned on world {content['seed']}; give another --seed to judge it by")
    if plain:
        content["production"]["gaps"] = []
        content["test"]["frames_per_condition"] *= 4
    return World.model_validate(content)


def fod(source: Path, weights: Path, out: Path, options: argparse.Namespace) -> None:
    """FOD-A: one sequence shows one thing in one light and weather."""
    if not (source / "meta.csv").is_file():
        raise SystemExit(
            f"expected meta.csv in {source.resolve()}, found none; give the folder of the data with --data"
        )
    with (source / "meta.csv").open(encoding="utf-8", newline="") as file:
        frames = list(csv.DictReader(file))
    kept = _thinned(frames if options.all_classes else _everywhere(frames), options.most)
    names = (source / "classes.txt").read_text(encoding="utf-8").split()
    classes = tuple(name for name in names if any(row["class"] == name for row in kept))
    _afresh(out)
    rows = [row for frame in kept for row in _fod_copies(source, out, frame, names, classes, options.copies)]
    form = FOD_FORM | {"initial": INITIAL / options.copies, "weights": str(weights.absolute())}
    _describe(out, classes, rows, form)


def strong_base(out: Path, epochs: int, device: str) -> Path:
    """The base checkpoint of a rendered folder, trained on by its labeled set under strong
    augmentation.
    """
    settings = read_settings(out, None, {})
    result = YoloTrainer().train(
        TrainSpec(
            labeled_set(out, settings),
            Path(settings.weights),
            out / "strong" / "run",
            epochs,
            0,
            imgsz=settings.imgsz,
            batch=settings.batch,
            device=device,
            overrides=RECIPE | STRONG,
        ),
        lambda done, total, what: print(f"{done}/{total} {what}"),
        lambda: False,
    )
    return result.weights


def labeled_set(out: Path, settings: ReplaySettings) -> Path:
    """A data.yaml of what a replay of `out` holds labeled from the start: nothing of the pool,
    nothing that judges.
    """
    data = load_data(out, settings)
    names = [data.frames[row].path.absolute() for row in data.rows(LABELED)]
    dataset = out.absolute() / "strong" / "data.yaml"
    dataset.parent.mkdir(parents=True, exist_ok=True)
    (dataset.parent / "labeled.txt").write_text("".join(f"{name}\n" for name in names), encoding="utf-8")
    content = {
        "path": str(dataset.parent),
        "train": "labeled.txt",
        "names": dict(enumerate(data.classes)),
    }
    dataset.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
    return dataset


def _check_rendered(described: World, folder: Path) -> None:
    """Rendering would throw another world away."""
    stamp = folder / "world.sha256"
    wanted = hashlib.sha256(described.model_dump_json().encode()).hexdigest()
    if not stamp.is_file() or stamp.read_text(encoding="utf-8") != wanted:
        raise SystemExit(
            f"expected this very world in {folder}, found another or none; leave --world out to render it"
        )


def _training(home: Path, out: Path) -> Iterable[Row]:
    for split, part in (("train", "labeled"), ("val", "held out")):
        for image in sorted((home / "world" / "train" / "images" / split).glob("*.jpg")):
            label = home / "world" / "train" / "labels" / split / f"{image.stem}.txt"
            name = f"{part.replace(' ', '_')}/{image.name}"
            yield {"file": _placed(image, label.read_text(encoding="utf-8"), out, name), "part": part}


def _production(home: Path, out: Path, described: World) -> Iterable[Row]:
    lines = (home / "truth" / "production.jsonl").read_text(encoding="utf-8").splitlines()
    truth = {each["sha256"]: each for each in map(json.loads, lines)}
    root = home / "world" / "production"
    for image in sorted(root.rglob("*.jpg")):
        known = truth[sha256_of_file(image)]
        site, camera, day = image.parent.relative_to(root).parts
        clock, _, number = image.stem.partition("-")
        label = _lines(known["boxes"], described.classes, image)
        moment = f"{day}T{clock[:2]}:{clock[2:4]}:{clock[4:]}+00:00"
        name = f"production/{site}_{camera}_{day}_{clock}-{number}.jpg"
        gap = known["gap"] or described.production.usual
        yield {
            "file": _placed(image, label, out, name),
            "camera": camera,
            "site": site,
            "captured_at": moment,
            "gap": gap,
        }


def _held_out(home: Path, out: Path) -> Iterable[Row]:
    for condition in sorted(path for path in (home / "truth" / "test").iterdir() if path.is_dir()):
        for image in sorted((condition / "images").glob("*.jpg")):
            label = (condition / "labels" / f"{image.stem}.txt").read_text(encoding="utf-8")
            name = f"test/{condition.name.replace(' ', '_')}-{image.name}"
            yield {"file": _placed(image, label, out, name), "gap": condition.name, "part": "test"}


def _everywhere(frames: Sequence[Mapping[str, str]]) -> list[Mapping[str, str]]:
    """Those of the classes that every light and weather shows: with the others, class and condition
    are confounded.
    """
    cells = defaultdict(set)
    for row in frames:
        cells[row["class"]].add((row["weather"], row["light"]))
    return [row for row in frames if cells[row["class"]] >= CELLS]


def _thinned(frames: Sequence[Mapping[str, str]], most: int) -> list[Mapping[str, str]]:
    by_sequence = defaultdict(list)
    for row in frames:
        by_sequence[row["sequence"], row["class"]].append(row)
    kept = []
    for members in by_sequence.values():
        count = min(most or len(members), len(members))
        kept += [members[i * len(members) // count] for i in range(count)]
    return kept


def _fod_copies(
    source: Path,
    out: Path,
    frame: Mapping[str, str],
    names: Sequence[str],
    classes: Sequence[str],
    copies: int,
) -> Iterable[Row]:
    image = source / "images" / frame["file"]
    lines = (source / "labels" / frame["file"]).with_suffix(".txt").read_text(encoding="utf-8").splitlines()
    known = [line.split(maxsplit=1) for line in lines if line.strip()]
    label = "".join(
        f"{classes.index(names[int(i)])} {rest}\n" for i, rest in known if names[int(i)] in classes
    )
    facts = {
        "camera": "runway",
        "sequence": frame["sequence"],
        "weather": frame["weather"],
        "light": frame["light"],
    }
    for copy in range(copies):
        name = frame["file"] if copies == 1 else f"{image.stem}-{copy}.jpg"
        placed = _placed(image, label, out, name)
        if copy:
            (out / placed).unlink()
            (out / placed).write_bytes(_compressed(image, 95 - 4 * copy))
        yield {"file": placed, **facts}


def _compressed(image: Path, quality: int) -> bytes:
    buffer = io.BytesIO()
    with Pil.open(image) as opened:
        opened.convert("RGB").save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()


def _lines(boxes: Sequence[Sequence[Any]], classes: Sequence[str], image: Path) -> str:
    with Pil.open(image) as opened:
        width, height = opened.size
    corners = [(classes.index(name), x1, y1, x2, y2) for name, x1, y1, x2, y2 in boxes]
    return "".join(f"{label_line(box, width, height)}\n" for box in corners)


def _placed(image: Path, label: str, out: Path, name: str) -> str:
    place = out / "images" / name
    text = (out / "labels" / name).with_suffix(".txt")
    place.parent.mkdir(parents=True, exist_ok=True)
    text.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(image, place)
    text.write_text(label, encoding="utf-8")
    return place.relative_to(out).as_posix()


def _afresh(out: Path) -> None:
    for part in ("images", "labels"):
        shutil.rmtree(out / part, ignore_errors=True)


def _describe(
    out: Path,
    classes: Sequence[str],
    rows: Sequence[Row],
    form: Mapping[str, object],
) -> None:
    content = {"train": "images", "names": dict(enumerate(classes))}
    (out / "data.yaml").write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
    settings = {"sidecar": "frames.csv", **form}
    (out / "replay.yaml").write_text(yaml.safe_dump(settings, sort_keys=False), encoding="utf-8")
    columns = [*COLUMNS, *sorted({key for row in rows for key in row} - set(COLUMNS))]
    with (out / "frames.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, columns, restval="")
        writer.writeheader()
        writer.writerows(rows)


if __name__ == "__main__":
    main()
