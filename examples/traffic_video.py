"""A short walk: one camera's labeled frames are the training set, and a video from elsewhere is
production.

python examples/traffic_video.py --data ../shared/data [--out DIR] [--clip small] [--video
fixed_videos/video03.avi]
"""

from __future__ import annotations

import argparse
import os
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

from steps import (
    Teller,
    data_folder,
    fieldloop,
    fieldloop_json,
    fine_tune,
    keep_results,
    table,
    write_data_yaml,
)

WEIGHTS = Path("weights") / "yolov8n_from_int8.pt"
TRAIN_EVERY, HELD_OUT = 6, 60
IMGSZ, EPOCHS, VIDEO_EVERY_S = 320, 6, 0.25


def main() -> None:
    given = _arguments()
    data = data_folder(given.data, str(WEIGHTS))
    source, video = data_folder(data / "street_cam", "classes.txt"), data / given.video
    data_folder(data, given.video)
    out = (given.out or Path(tempfile.mkdtemp(prefix="fieldloop-video-"))).resolve()
    teller, project = Teller(), out / "project"
    shutil.rmtree(project, ignore_errors=True)

    with teller.step(
        "training", "A street camera's labeled frames are the training set; the team trains on them"
    ):
        dataset, counts = write_training_set(source, out / "training")
        weights = fine_tune(data / WEIGHTS, dataset, out / "team", epochs=EPOCHS, imgsz=IMGSZ)
    with teller.step("frames", f"A project is made, and {video.name} is taken in and analyzed"):
        fieldloop(
            "init",
            project,
            "--dataset",
            dataset,
            "--weights",
            weights,
            "--clip",
            given.clip,
            "--set",
            f"detector.imgsz={IMGSZ}",
            "--set",
            f"frames.video_every_s={VIDEO_EVERY_S}",
        )
        taken = fieldloop_json("ingest", video, "--project", project)
        fieldloop("analyze", "--project", project)
    with teller.step("gaps", "What does the video show that the street camera did not?"):
        view = fieldloop_json("gaps", "--project", project, "--html", out / "gaps.html")
    gaps = [
        {key: gap[key] for key in ("name", "kind", "why", "production_share", "training_share", "frames")}
        for gap in view["gaps"]
    ]
    rows = [
        [gap["name"], f"{gap['production_share']:.0%}", f"{gap['training_share']:.0%}", str(gap["frames"])]
        for gap in gaps
    ]
    print(
        f"\n{taken['stored']} frames of {video.name} beside {counts['train']} training frames; the page:"
        f" {out / 'gaps.html'}"
    )
    table(["gap", "of the video", "of training", "frames"], rows or [["none", "", "", ""]])
    keep_results(
        out / "results.json",
        {
            "clip": given.clip,
            "video": given.video,
            "images": counts,
            "stored": taken["stored"],
            "gaps": gaps,
            "seconds": teller.seconds,
        },
    )


def write_training_set(source: Path, out: Path) -> tuple[Path, dict[str, int]]:
    """Every sixth frame trains; the last of them are held out in one piece, so that no neighbor of
    theirs trains.
    """
    shutil.rmtree(out, ignore_errors=True)
    images = sorted((source / "images").iterdir())
    parts = {"train": images[: -2 * HELD_OUT : TRAIN_EVERY], "val": images[-HELD_OUT::TRAIN_EVERY]}
    for split, chosen in parts.items():
        _copy(source, out, split, chosen)
    classes = (source / "classes.txt").read_text(encoding="utf-8").split()
    dataset = write_data_yaml(out, classes, train="images/train", val="images/val")
    return dataset, {split: len(chosen) for split, chosen in parts.items()}


def _copy(source: Path, out: Path, split: str, images: Sequence[Path]) -> None:
    for kind in ("images", "labels"):
        (out / kind / split).mkdir(parents=True)
    for image in images:
        shutil.copyfile(image, out / "images" / split / image.name)
        label = image.with_suffix(".txt").name
        shutil.copyfile(source / "labels" / label, out / "labels" / split / label)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="A video of an unknown camera goes through ingest to gaps.")
    parser.add_argument(
        "--data",
        type=Path,
        default=Path(os.environ.get("FIELDLOOP_DATA") or "../shared/data"),
        help="folder that holds street_cam, fixed_videos and weights; FIELDLOOP_DATA when left out",
    )
    parser.add_argument("--out", type=Path, help="where to work; a new temporary folder when left out")
    parser.add_argument("--clip", default="small", help="as for `fieldloop init`")
    parser.add_argument("--video", default="fixed_videos/video03.avi", help="a video below the data folder")
    return parser.parse_args()


if __name__ == "__main__":
    main()
