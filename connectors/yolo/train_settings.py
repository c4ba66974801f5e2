"""Which further settings a training run takes, and whether the trainer does as it was asked.

No ultralytics in here, so that settings can be checked before anything is started.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from math import isclose
from numbers import Real

from connectors.errors import TrainingFailed

RESERVED = {
    "batch": "batch",
    "data": "dataset",
    "device": "device",
    "epochs": "epochs",
    "imgsz": "imgsz",
    "model": "weights",
    "name": "run_dir",
    "project": "run_dir",
    "resume": "resume",
    "save_dir": "run_dir",
    "seed": "seed",
}
"""Settings that have a place of their own in the spec."""
PLACES = {name: f", round.{name} of a project" for name in ("batch", "device", "epochs", "imgsz")} | {
    "seed": ", seed of a project"
}
FIXED = frozenset({"cfg", "exist_ok", "mode", "pretrained", "save", "split", "task"})
REFUSED = {
    "classes": "it trains objects of the other classes as background; leave it out",
    "distill_model": "the candidate would hold a second model; leave it out",
    "fraction": "it leaves out images that the round says it trained on; lower round.replay",
    "quantize": "the candidate would be another kind of model; leave it out",
    "single_cls": "it makes one class of all, and the candidate would not know the classes; leave it out",
    "time": "it takes the place of the number of epochs; set round.epochs",
}
"""Settings that change what a class is, what was trained on, or what a candidate is."""
IGNORED = frozenset({
    # of segmentation, classification, pose, rotated boxes and depth
    "angle", "auto_augment", "copy_paste", "copy_paste_mode", "dgrad", "dlam", "dlog", "dropout", "erasing",
    "kobj", "mask_ratio", "overlap_mask", "pose", "rle",
    # of a second model to learn from, and of loggers
    "dis", "profile",
    # of validation files, prediction, drawing, export and tracking
    "augment", "dnn", "dynamic", "embed", "format", "line_width", "nms", "opset", "optimize", "retina_masks",
    "save_conf", "save_crop", "save_frames", "save_json", "save_txt", "show", "show_boxes", "show_conf",
    "show_labels", "simplify", "source", "stream_buffer", "tracker", "vid_stride", "visualize", "workspace",
})  # fmt: skip
"""Settings that ultralytics knows and that the training of a detector never reads."""
NOTHING_ASKED: Mapping[str, tuple[object, ...]] = {"classes": (None,), "fraction": (None, 1)}
"""Values by which a setting changes nothing; of the others, none, false, 0 and no text."""
OF_EVALUATION = frozenset({"agnostic_nms", "conf", "iou", "max_det", "patience"})
"""Settings that count only where every epoch is evaluated."""
DEFAULTS: Mapping[str, object] = {"optimizer": "AdamW", "warmup_bias_lr": 0.0}
"""What is asked for where nothing else is said. ultralytics' own choice of an optimizer throws lr0
away, and its biases begin at a rate of .1 whatever lr0 is.
"""
OPTIMIZERS = ("AdamW", "SGD", "MuSGD", "Adam", "Adamax", "NAdam", "RAdam", "RMSProp")
ADAM = frozenset({"adam", "adamax", "adamw", "nadam", "radam"})
WHOLE_PRECISION = ("fp32", False)
IN_MEMORY = (True, False, "ram")
CLOSE_MOSAIC = 10
"""For so many epochs at the end ultralytics mixes no images where nothing else is asked for."""


def check_run(overrides: Mapping[str, object], epochs: int, device: str) -> None:
    """As `check_overrides`, for a run of so many epochs on a device: "cpu", or GPUs."""
    check_overrides(overrides)
    for name, value in overrides.items():
        if value and (why := _objection_of_run(name, value, overrides, epochs, device)):
            raise TrainingFailed(f"training settings: expected no {name!r} among them, got one; {why}")


def _objection_of_run(
    name: str, value: object, overrides: Mapping[str, object], epochs: int, device: str
) -> str:
    closed = overrides.get("close_mosaic", CLOSE_MOSAIC)
    if name in ("mosaic", "mixup", "cutmix") and isinstance(closed, int) and closed >= epochs:
        return (
            f"of {epochs} epochs the last {closed} mix no images, so none does; set close_mosaic to fewer, or"
            " leave it out"
        )
    if device != "cpu":
        return ""
    if name == "amp" and value not in WHOLE_PRECISION:
        return "the CPU trains in whole precision; leave it out"
    if name in ("channels_last", "workers"):
        return "on the CPU ultralytics does not follow it; leave it out"
    return ""


def check_overrides(overrides: Mapping[str, object]) -> None:
    """Raises TrainingFailed for a setting that is decided elsewhere, that the trainer would ignore,
    or that would make something else of the round.
    """
    for name, value in overrides.items():
        if why := _objection(name, value, overrides):
            raise TrainingFailed(f"training settings: expected no {name!r} among them, got one; {why}")
    try:
        json.dumps(overrides)
    except TypeError as error:
        raise TrainingFailed(
            f"training settings: expected numbers, texts and lists, got something else ({error}); mend the"
            " value"
        ) from error


def _objection(name: str, value: object, overrides: Mapping[str, object]) -> str:
    """Why a setting cannot be taken, "" where it can. One that asks for nothing does no harm."""
    if name in RESERVED:
        return f"set {RESERVED[name]!r} of the spec" + PLACES.get(name, "")
    if name in FIXED:
        return "the trainer decides it: leave it out"
    optimizer = str(overrides.get("optimizer", DEFAULTS["optimizer"]))
    if name == "optimizer" and optimizer.lower() == "auto":
        return "'auto' chooses its own learning rate and throws lr0 away; name one, such as AdamW or SGD"
    if name == "optimizer" and optimizer.lower() not in map(str.lower, OPTIMIZERS):
        return f"ultralytics has none that is called {value!r}; name one of {', '.join(OPTIMIZERS)}"
    if name == "cache" and value is not None and value not in IN_MEMORY:
        return "images can be kept in memory alone, and no files beside them; set true, or leave it out"
    if name == "freeze" and not _freezable(value):
        return (
            f"{value!r} says no layers; set how many from the first on, or a list of their numbers, or of"
            " names such as 23.cv2"
        )
    if name == "warmup_momentum" and optimizer.lower() in ADAM:
        return f"{optimizer} does not read it; leave it out, or choose SGD"
    if value in NOTHING_ASKED.get(name, (None, False, "")):
        return ""
    if name in REFUSED:
        return REFUSED[name]
    if name in IGNORED:
        return "the training of a detector does not read it; leave it out"
    if name in OF_EVALUATION and not overrides.get("val"):
        return "it counts only where every epoch is evaluated; set val: true too, or leave it out"
    return ""


def _freezable(value: object) -> bool:
    if isinstance(value, list):
        return all(isinstance(one, int | str) and not isinstance(one, bool) for one in value)
    return value is None or (isinstance(value, int) and not isinstance(value, bool) and value >= 0)


def differences(asked: Mapping[str, object], effective: Mapping[str, object]) -> list[str]:
    """In words, every setting that the trainer runs with otherwise than asked, by name.

    Settings that `effective` does not tell of are not compared.
    """
    return [
        f"{name} {value!r}, got {effective[name]!r}"
        for name, value in sorted(asked.items())
        if name in effective and not _same(name, value, effective[name])
    ]


def _same(name: str, wanted: object, got: object) -> bool:
    if name == "amp" and wanted in WHOLE_PRECISION:
        return got in WHOLE_PRECISION
    if isinstance(wanted, str) and isinstance(got, str):
        return wanted.lower() == got.lower()
    if isinstance(wanted, Real) and isinstance(got, Real):
        return isclose(wanted, got, rel_tol=1e-6, abs_tol=1e-12)
    if isinstance(wanted, list | tuple) and isinstance(got, list | tuple):
        pairs = zip(wanted, got, strict=False)
        return len(wanted) == len(got) and all(_same(name, one, other) for one, other in pairs)
    return wanted == got


def in_words(effective: Mapping[str, object]) -> str:
    """The settings of a run in one line, the deciding ones first: AdamW, learning rate 0.001, ..."""
    head = [str(effective.get("optimizer")), f"learning rate {_brief(effective.get('lr0'))}"]
    parts = head + [
        f"{name} {_brief(effective[name])}" for name in SHOWN if effective.get(name) not in (None, [])
    ]
    classes = effective.get("classes")
    counts = [f"{effective['images']} images"] if "images" in effective else []
    return ", ".join(parts + counts + ([f"{len(classes)} classes"] if isinstance(classes, list) else []))


SHOWN = (
    "momentum",
    "weight_decay",
    "batch",
    "epochs",
    "imgsz",
    "mosaic",
    "fliplr",
    "scale",
    "translate",
    "freeze",
)


def _brief(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
