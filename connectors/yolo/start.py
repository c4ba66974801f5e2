"""A detector for other classes, begun from the weights of any pretrained one."""

from __future__ import annotations

import io
from collections.abc import Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any

from connectors.errors import ModelError
from connectors.yolo.detector import load_model
from connectors.yolo.environment import unchanged_process


def start_detector(pretrained: Path, classes: Sequence[str], seed: int) -> bytes:
    """A checkpoint whose body is that of `pretrained`, and whose outputs are these classes.

    Outputs of classes that both know by name are taken over; those of the others begin anew and
    are guessed before they are trained. The same seed gives the same bytes.
    Raises WeightsUnavailable, ModelError.
    """
    model, _ = load_model(pretrained)
    import torch
    from ultralytics.nn.tasks import DetectionModel
    from ultralytics.utils import __version__

    with unchanged_process():
        torch.manual_seed(seed)
        started: Any = DetectionModel(deepcopy(model.yaml), nc=len(classes), verbose=False)
        started.names = dict(enumerate(classes))
        started.load(model, verbose=False)
    if not _same_body(started, model):
        raise ModelError(
            f"{pretrained}: expected weights that fit the architecture they name, got others; give weights as"
            " ultralytics saved them after a training"
        )
    started.task = "detect"
    started.args = {"task": "detect"}
    started.__dict__.pop("pt_path", None)
    if "yaml_file" in started.yaml:
        started.yaml["yaml_file"] = Path(str(started.yaml["yaml_file"])).name
    buffer = io.BytesIO()
    content = {"epoch": -1, "model": started.half(), "train_args": started.args, "version": __version__}
    torch.save(content, buffer)
    return buffer.getvalue()


def _same_body(started: Any, model: Any) -> bool:
    """Whether all but the last part holds what the pretrained one holds."""
    import torch

    return all(
        torch.equal(now, before)
        for mine, others in zip(started.model[:-1], model.model[:-1], strict=True)
        for now, before in zip(mine.state_dict().values(), others.state_dict().values(), strict=True)
    )
