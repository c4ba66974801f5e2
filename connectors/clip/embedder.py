"""open_clip behind the Embedder port: any architecture and tag, a hub name, or a local folder."""

from __future__ import annotations

import hashlib
import json
import os
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import open_clip
import torch
from numpy.typing import NDArray
from torchvision.transforms import InterpolationMode
from torchvision.transforms.v2 import functional as tv

from connectors.clip.known_images import KnownImages, load_known
from connectors.clip.weights import as_text, hub_offline, resolve, short, tokenizer
from connectors.devices import torch_threads
from connectors.errors import ModelError
from connectors.ports import Array, Image

Precision = Literal["auto", "fp32", "bf16"]
USUAL_LOGIT_SCALE = 100.0


class ClipEmbedder:
    """Images and sentences in one space (Radford et al., 2021), by an open_clip model.

    Calls may come from several threads; they take turns, since torch's thread count belongs to the
    process.
    """

    def __init__(
        self,
        model: Any,
        tokenizer: Any,
        label: str,
        device: str,
        precision: str,
        threads: int,
        batch: int,
        folder: Path | None = None,
    ) -> None:
        self._model = model.eval().requires_grad_(False)
        self._tokenizer = tokenizer
        self._prepare = Preprocess(**_preprocess_fields(model.visual.preprocess_cfg))
        self._device = device
        self._dtype = torch.bfloat16 if precision == "bf16" else torch.float32
        self._threads = threads or len(os.sched_getaffinity(0))
        self._batch = batch
        self._lock = threading.Lock()
        self._name = f"{label}@{_digest(model)}/{precision}"
        self._dim = self._encode_text([""]).shape[1]
        self._known: KnownImages | None = load_known(folder, self.dim) if folder else None

    @property
    def name(self) -> str:
        """Architecture and tag (or folder), a digest of weights and preprocessing, and the
        precision.
        """
        return self._name

    @property
    def dim(self) -> int:
        return int(self._dim)

    @property
    def logit_scale(self) -> float:
        """The model's own; 100, where CLIP's training ends, for a model that has none."""
        scale = getattr(self._model, "logit_scale", None)
        return USUAL_LOGIT_SCALE if scale is None else float(scale.exp())

    def embed(self, images: Sequence[Image]) -> Array:
        """(B, D) float32, unit norm; images are (H, W, 3) uint8 RGB of any sizes.

        Raises ValueError for what is no such image, ModelError for vectors that are not finite.
        """
        return self._in_batches(images, self._encode_images)

    def embed_text(self, prompts: Sequence[str]) -> Array:
        """(P, D) float32, unit norm."""
        return self._in_batches(prompts, self._encode_text)

    def unknown_words(self, prompts: Sequence[str]) -> tuple[str, ...]:
        """Words with a token that training never met (its embedding is zero): only a small
        vocabulary has such.
        """
        table, encode = (
            getattr(self._model, "token_embedding", None),
            getattr(self._tokenizer, "encode", None),
        )
        if table is None or encode is None:
            return ()
        unmet = ~table.weight.any(dim=1)
        words = dict.fromkeys(word for prompt in prompts for word in prompt.lower().split())
        return tuple(word for word in words if any(bool(unmet[token]) for token in encode(word)))

    def unlike(self, vectors: Array) -> NDArray[np.bool_]:
        """None are, to a model that carries no account of its training images (known.npz)."""
        return np.zeros(len(vectors), dtype=np.bool_) if self._known is None else self._known.unlike(vectors)

    def _in_batches(self, items: Sequence[Any], encode: Callable[[Sequence[Any]], torch.Tensor]) -> Array:
        if not len(items):
            return np.zeros((0, self.dim), np.float32)
        with self._lock, torch_threads(self._threads):
            chunks = [items[i : i + self._batch] for i in range(0, len(items), self._batch)]
            return _unit(torch.cat([encode(chunk) for chunk in chunks]))

    def _encode_images(self, images: Sequence[Image]) -> torch.Tensor:
        with torch.inference_mode():
            pixels = torch.stack([self._prepare(image) for image in images])
            pixels = pixels.to(self._device, self._dtype, memory_format=torch.channels_last)
            return _cpu(self._model.encode_image(pixels))

    def _encode_text(self, prompts: Sequence[str]) -> torch.Tensor:
        with torch.inference_mode():
            return _cpu(self._model.encode_text(self._tokenizer(list(prompts)).to(self._device)))


def load_embedder(
    model: str,
    pretrained: str | None = None,
    *,
    batch: int,
    device: str = "cpu",
    threads: int = 0,
    cache_dir: Path | None = None,
    precision: Precision = "auto",
    trust_pickle: bool = False,
) -> ClipEmbedder:
    """An embedder with real weights, never a random model.

    model: an open_clip architecture (pretrained: its tag, or a weights file with its
    open_clip_config.json beside it), `hf-hub:org/name`, or a local folder (`local-dir:DIR` or a
    plain path).
    threads: torch threads while embedding, 0 means every core given to the process.
    precision: auto takes bf16 for plain ViTs on processors with bf16 instructions.
    trust_pickle: accept local .bin, .pt and .pth files.

    Raises WeightsUnavailable when weights are neither here nor fetched, ModelError for all else,
    such as weights that do not say how images are prepared for them.
    """
    source = resolve(model, pretrained, cache_dir, trust_pickle)
    chosen = _precision(precision, source.config, device)
    try:
        with hub_offline():
            built = open_clip.create_model(
                source.name,
                pretrained=source.pretrained,
                precision=chosen,
                device=device,
                cache_dir=as_text(cache_dir),
                require_pretrained=True,
                weights_only=True,
                force_preprocess_cfg=source.preprocess,
            )
    except Exception as error:
        raise ModelError(
            f"embedder: expected open_clip to build {source.label!r}; got {short(error)}; "
            "check that the configuration and the weights belong together"
        ) from error
    return ClipEmbedder(
        built,
        tokenizer(source, cache_dir),
        source.label,
        device,
        chosen,
        threads,
        batch,
        source.folder,
    )


@dataclass(frozen=True, slots=True)
class Preprocess:
    """The model's own preprocessing on uint8 tensors, five times faster than by PIL (cosine .9999
    to stock).

    size: (height, width) px.
    resize_mode: shortest (then a center crop), squash, or longest (then padding).
    """

    size: tuple[int, int]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    interpolation: str
    resize_mode: str
    fill_color: int

    def __call__(self, image: Image) -> torch.Tensor:
        """(3, h, w) float32, normalized."""
        pixels = self.pixels(image)
        return tv.normalize(pixels.to(torch.float32) / 255, list(self.mean), list(self.std))  # type: ignore[no-any-return]

    def pixels(self, image: Image) -> torch.Tensor:
        """(3, h, w) uint8, resized and cropped. Raises ValueError."""
        return self._crop(self._resize(_tensor(image)))

    def _resize(self, pixels: torch.Tensor) -> torch.Tensor:
        height, width = pixels.shape[-2:]
        if self.resize_mode == "squash":
            target = self.size
        else:
            ratios = (self.size[0] / height, self.size[1] / width)
            scale = min(ratios) if self.resize_mode == "longest" else max(ratios)
            square_crop = self.resize_mode == "shortest" and self.size[0] == self.size[1]
            target = _scaled(height, width, scale, int if square_crop else round)
        mode = InterpolationMode.BILINEAR if self.interpolation == "bilinear" else InterpolationMode.BICUBIC
        return tv.resize(pixels, list(target), interpolation=mode, antialias=True)  # type: ignore[no-any-return]

    def _crop(self, pixels: torch.Tensor) -> torch.Tensor:
        if self.resize_mode == "longest":
            return _padded(pixels, self.size, self.fill_color)
        return tv.center_crop(pixels, list(self.size))  # type: ignore[no-any-return]


def _scaled(height: int, width: int, scale: float, whole: Callable[[float], int]) -> tuple[int, int]:
    return max(1, whole(height * scale + 1e-6)), max(1, whole(width * scale + 1e-6))


def _padded(pixels: torch.Tensor, size: tuple[int, int], fill: int) -> torch.Tensor:
    down, right = size[0] - pixels.shape[-2], size[1] - pixels.shape[-1]
    left, top = right // 2, down // 2
    return tv.pad(pixels, [left, top, right - left, down - top], fill=fill)  # type: ignore[no-any-return]


def _tensor(image: Image) -> torch.Tensor:
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or not image.size:
        raise ValueError(
            f"image: expected (H, W, 3) uint8 RGB; got {image.shape} {image.dtype}; decode it to RGB first"
        )
    return torch.from_numpy(np.require(image, requirements=["C", "W"])).permute(2, 0, 1)


def _preprocess_fields(config: dict[str, Any]) -> dict[str, Any]:
    size = config["size"]
    fields = {key: config[key] for key in ("mean", "std", "interpolation", "resize_mode", "fill_color")}
    return {**fields, "size": (size, size) if isinstance(size, int) else tuple(size)}


def _precision(wanted: Precision, config: dict[str, Any], device: str) -> str:
    if wanted != "auto":
        return wanted
    vision = config.get("vision_cfg", {})
    plain_vit = "timm_model_name" not in vision and isinstance(vision.get("layers"), int)
    return "bf16" if plain_vit and device == "cpu" and torch.cpu._is_avx512_bf16_supported() else "fp32"


def _digest(model: Any) -> str:
    """Over weights and preprocessing rather than the file, so that it is the same wherever they
    came from.
    """
    digest = hashlib.sha256(json.dumps(model.visual.preprocess_cfg, sort_keys=True).encode())
    for key, value in sorted(model.state_dict().items()):
        digest.update(key.encode())
        digest.update(value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()[:12]


def _unit(vectors: torch.Tensor) -> Array:
    if not bool(torch.isfinite(vectors).all()):
        raise ModelError(
            "embedder: expected finite vectors; got NaN or infinity; try precision fp32 or other weights"
        )
    normed: Array = torch.nn.functional.normalize(vectors, dim=-1).numpy()
    return normed


def _cpu(vectors: Any) -> torch.Tensor:
    return torch.as_tensor(vectors).to("cpu", torch.float32)
