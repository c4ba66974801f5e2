"""What a training run that is set up really does, read from its parts rather than from what it was
told.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

TOLD = (
    "imgsz", "seed", "nbs", "lrf", "cos_lr", "warmup_momentum", "warmup_bias_lr", "box", "cls", "cls_pw",
    "dfl", "multi_scale", "rect", "single_cls", "fraction", "val", "close_mosaic", "deterministic",
    "cls_remap", "max_det",
)  # fmt: skip
"""Settings that hold as ultralytics' arguments have them once it is set up."""
OF_EVALUATION = ("conf", "iou", "agnostic_nms")
"""Likewise, as the arguments of its validator have them."""
OF_SEVERAL = ("mosaic", "mixup", "cutmix")
"""What is made of several images, and ends before the last `close_mosaic` epochs."""


def effective_settings(trainer: Any) -> dict[str, Any]:
    """By ultralytics' names, of a BaseTrainer that is ready for its first epoch; ready for JSON.

    weight_decay: for a nominal batch (nbs). classes: their names by id. images: lines of the training
    list, of which a step takes as many as there are where these are fewer than a batch.
    """
    names, args = trainer.data["names"], trainer.args
    judged = {name: getattr(trainer.validator.args, name) for name in OF_EVALUATION} if args.val else {}
    return {
        **{name: _plain(getattr(trainer.args, name)) for name in TOLD if hasattr(trainer.args, name)},
        **optimizer_settings(trainer),
        **augmentation(trainer.train_loader.dataset),
        **({} if _mixes(args.close_mosaic, trainer.epochs) else dict.fromkeys(OF_SEVERAL, 0.0)),
        **judged,
        "warmup_epochs": warmed_up(args.warmup_epochs, trainer.epochs),
        "freeze": frozen_layers(trainer.model, args.freeze),
        "images": len(trainer.train_loader.dataset),
        "batch": trainer.batch_size,
        "epochs": trainer.epochs,
        "patience": trainer.args.patience,
        "amp": _plain(trainer.args.amp) if trainer.amp else False,
        "classes": [names[number] for number in sorted(names)],
    }


def optimizer_settings(trainer: Any) -> dict[str, Any]:
    """The optimizer's kind, learning rate at the start, momentum and weight decay, from its own
    parameter groups.
    """
    groups = trainer.optimizer.param_groups
    first = groups[0]
    accumulate = max(round(trainer.args.nbs / trainer.batch_size), 1)
    # while a run warms up, its optimizer holds what the momentum is just now
    momentum = trainer.args.momentum if _warms_up(trainer) else first.get("momentum")
    decays = [group["weight_decay"] for group in groups if group.get("param_group") in ("weight", "muon")]
    return {
        "optimizer": type(trainer.optimizer).__name__,
        # MuSGD takes three times the rate for a part of the head
        "lr0": float(min(group.get("initial_lr", group["lr"]) for group in groups)),
        "momentum": float(first["betas"][0] if "betas" in first else momentum),
        "weight_decay": float(max(decays)) * trainer.args.nbs / (trainer.batch_size * accumulate),
    }


def warmed_up(asked: float, epochs: int) -> float:
    """Over how many of so many epochs the learning rate rises: never over the last."""
    return min(asked, max(epochs - 1, 0))


def _warms_up(trainer: Any) -> bool:
    batches = len(trainer.train_loader)
    return bool(trainer.start_epoch * batches <= trainer._get_warmup_iterations(batches))


def _mixes(close_mosaic: int, epochs: int) -> bool:
    """Whether there is an epoch before the last `close_mosaic` ones; 0 and less leave all."""
    return close_mosaic <= 0 or close_mosaic < epochs


def frozen_layers(model: Any, asked: Any) -> Any:
    """Of the layers that were to be frozen, a count or their numbers and names, those that there are;
    None where what was asked is neither.
    """
    layers = len(model.model)
    if isinstance(asked, bool) or not isinstance(asked, int | list):
        return None
    if isinstance(asked, int):
        return min(max(asked, 0), layers)
    numbers = {str(number) for number in range(layers)}
    names = [name for name, _ in model.named_parameters()]
    return [one for one in asked if str(one) in numbers or any(f"model.{one}." in name for name in names)]


def augmentation(dataset: Any) -> dict[str, Any]:
    """What is done to training images, from the transforms that do it; what none of them does is 0."""
    found: dict[str, Any] = dict.fromkeys(("mosaic", "mixup", "cutmix", "flipud", "fliplr", "bgr"), 0.0)
    for one in _transforms(dataset.transforms):
        kind = type(one).__name__
        if kind in ("Mosaic", "MixUp", "CutMix"):
            found[kind.lower()] = one.p
        elif kind == "RandomPerspective":
            found |= {name: getattr(one, name) for name in PERSPECTIVE}
        elif kind == "RandomHSV":
            found |= {"hsv_h": one.hgain, "hsv_s": one.sgain, "hsv_v": one.vgain}
        elif kind == "RandomFlip":
            found["flipud" if one.direction == "vertical" else "fliplr"] = one.p
        elif kind == "Albumentations":
            found["albumentations"] = one.transform is not None
        elif kind == "Format":
            found["bgr"] = one.bgr
    return {name: _plain(value) for name, value in found.items()}


PERSPECTIVE = ("degrees", "translate", "scale", "shear", "perspective")


def _transforms(compose: Any) -> Iterator[Any]:
    for one in getattr(compose, "transforms", ()):
        yield from _transforms(one) if type(one).__name__ == "Compose" else (one,)


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value
