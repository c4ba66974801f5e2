"""Makes the trained small CLIP a folder of under 6 MB that open_clip loads unchanged, with vectors
to check it by.

Convolutions and the token embedding are kept in 8 bits (e4m3, Micikevicius et al., 2022): each
output channel of a convolution is scaled to the format's range first, which the batch norm behind
it undoes once its statistics are measured anew. Rows of tokens that no caption uses are zero.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import open_clip
import torch
from PIL import Image as PilImage
from safetensors.torch import save_file
from torch import Tensor, nn

from demo.clip_scenes import PREPROCESS, random_specs
from demo.render import CAMERAS, SceneSpec, render

PROMPTS = (
    "a photo taken at night",
    "a photo taken in daylight",
    "a photo taken at dusk",
    "a photo taken in fog",
    "a photo taken in rain",
    "a photo taken in snow",
    "a photo in clear weather",
    "a blurred photo",
    "a photo from above",
)
PREPROCESS_CONFIG = {
    "mean": PREPROCESS.mean,
    "std": PREPROCESS.std,
    "interpolation": PREPROCESS.interpolation,
    "resize_mode": PREPROCESS.resize_mode,
}
_TOP = 16.0
_CHECKED = 12


def export(
    model: nn.Module, known: Tensor, config: dict[str, Any], out: Path, batches: Iterable[Tensor]
) -> None:
    """Writes configuration, weights and vectors.npz; batches are normalized images to measure batch
    norms on.
    """
    out.mkdir(parents=True, exist_ok=True)
    round_convolutions(model)
    measure_norms(model, batches)
    content = {"model_cfg": config, "preprocess_cfg": PREPROCESS_CONFIG}
    (out / "open_clip_config.json").write_text(json.dumps(content, indent=2) + "\n")
    state = packed(model, known, config["text_cfg"]["vocab_size"])
    save_file(state, out / "open_clip_model.safetensors", metadata={"format": "pt"})
    write_vectors(out)


def round_convolutions(model: nn.Module) -> None:
    """Every convolution before a batch norm: each output channel scaled to at most 16, then rounded
    to 8 bits.
    """
    with torch.no_grad():
        for convolution in _convolutions(model).values():
            top = convolution.weight.abs().amax(dim=(1, 2, 3), keepdim=True).clamp(min=1e-8)
            scaled = convolution.weight * (_TOP / top)
            convolution.weight.copy_(scaled.to(torch.float8_e4m3fn).to(torch.float32))


def measure_norms(model: nn.Module, batches: Iterable[Tensor]) -> None:
    """Running means and variances anew, as plain averages over the batches."""
    norms = [module for module in model.modules() if isinstance(module, nn.BatchNorm2d)]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None
    model.train()
    with torch.no_grad():
        for batch in batches:
            model.encode_image(batch)  # type: ignore[operator]
    model.eval()


def packed(model: nn.Module, known: Tensor, vocabulary: int) -> dict[str, Tensor]:
    """The state that open_clip expects: 8 bits where rounded, single precision for norm statistics,
    else half.
    """
    state = {name: value.detach().contiguous() for name, value in model.state_dict().items()}
    embedding = torch.zeros(vocabulary, state["token_embedding.weight"].shape[1])
    embedding[known] = state["token_embedding.weight"]
    state["token_embedding.weight"] = embedding
    eight = {f"{name}.weight" for name in _convolutions(model)} | {"token_embedding.weight"}
    return {name: _narrow(name, value, name in eight) for name, value in state.items()}


def write_vectors(folder: Path) -> None:
    """vectors.npz: JPEG files of rendered scenes, their specs, and what stock open_clip makes of
    them and of PROMPTS.
    """
    specs = random_specs(_CHECKED, 987, dict(CAMERAS))
    files = [_jpeg(spec) for spec in specs]
    arrays: dict[str, Any] = {
        f"jpeg_{number:02d}": np.frombuffer(file, np.uint8) for number, file in enumerate(files)
    }
    images, texts = stock_vectors(folder, files, PROMPTS)
    described = np.array([json.dumps(asdict(spec)) for spec in specs])
    np.savez_compressed(
        folder / "vectors.npz",
        specs=described,
        images=images,
        prompts=np.array(PROMPTS),
        texts=texts,
        **arrays,
    )


def stock_vectors(folder: Path, files: list[bytes], prompts: Iterable[str]) -> tuple[Any, Any]:
    """(B, D) and (P, D) float32 unit vectors, by nothing but open_clip."""
    name = f"local-dir:{folder}"
    model, transform = open_clip.create_model_from_pretrained(name)
    model.eval()
    pictures = [PilImage.open(io.BytesIO(file)).convert("RGB") for file in files]
    with torch.inference_mode():
        pixels = torch.stack([transform(each) for each in pictures])
        images = model.encode_image(pixels, normalize=True)
        texts = model.encode_text(open_clip.get_tokenizer(name)(list(prompts)), normalize=True)
    return images.numpy(), texts.numpy()


def _convolutions(model: nn.Module) -> dict[str, nn.Conv2d]:
    """Those whose scale a batch norm right behind them takes out again."""
    return {
        f"{name}.conv": module.conv
        for name, module in model.named_modules()
        if isinstance(getattr(module, "conv", None), nn.Conv2d)
        and isinstance(getattr(module, "bn", None), nn.BatchNorm2d)
    }


def _narrow(name: str, value: Tensor, eight: bool) -> Tensor:
    if eight:
        return value.to(torch.float8_e4m3fn)
    if not value.is_floating_point() or "running_" in name:
        return value
    return value.to(torch.float16)


def _jpeg(spec: SceneSpec) -> bytes:
    _, packed_image = cv2.imencode(".jpg", render(spec).image[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, 90])
    return packed_image.tobytes()
