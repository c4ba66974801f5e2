"""Trains the small CLIP that the project carries: `python -m demo.train_clip --out
config/clip_small`.

A RegNetX-200MF (Radosavovic et al., 2020) and a text transformer of two layers learn from rendered,
captioned scenes only, by contrastive losses in which every caption that holds for an image is a
positive (Khosla et al., 2020). The result is a folder that open_clip loads unchanged. The same seed
gives the same scenes and steps; an interrupted run goes on at its last checkpoint in --work. The
first phase sees the cameras that a detector may have been trained on, and made-up ones; the second,
a third of those scenes beside new ones from every camera of the world and others made up anew. What
it knows nothing like is learned last (demo/clip_known.py). About 8 minutes of rendering and 18 of
training by one core, and 11 for the last step.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import open_clip
import torch
from torch import Tensor, nn
from torch.nn import functional as tnf

from connectors.files import draft_of
from demo.captions import captions
from demo.clip_export import export
from demo.clip_known import write_known
from demo.clip_scenes import ATTRIBUTES, PREPROCESS, Labels, Pixels, SceneSet, rendered

MODEL: dict[str, Any] = {
    "embed_dim": 128,
    "vision_cfg": {
        "timm_model_name": "regnetx_002",
        "timm_model_pretrained": False,
        "timm_pool": "avg",
        "timm_proj": "linear",
        "image_size": 112,
    },
    "text_cfg": {"context_length": 32, "vocab_size": 49408, "width": 56, "heads": 2, "layers": 2},
}
BATCH = 128
PER_VALUE = 2
JOINED, PLACES = 64, 32
SINGLES = ("time", "weather", "view", "quality")
CHECKPOINT_EVERY = 100


@dataclass(frozen=True)
class Words:
    """The tokens that captions use, renumbered: an embedding of 49,408 rows would be trained for
    nothing.
    """

    known: Tensor

    def __call__(self, texts: list[str]) -> Tensor:
        """(T, 32) int64 row numbers; order is kept, so that the end of text stays the highest."""
        return torch.searchsorted(self.known, _tokens(texts))


@dataclass(frozen=True)
class Phase:
    """So many steps on these scenes, the learning rate falling from `peak` times each group's own."""

    scenes: SceneSet
    steps: int
    peak: float


def main() -> None:
    options = _options()
    cv2.setNumThreads(1)
    torch.set_num_threads(options.threads)
    folder, seed = options.work / "scenes", options.seed
    first = rendered(folder, options.scenes, seed)
    second = first[::3] + rendered(folder, options.scenes // 3, seed + 1, unknown=True)
    phases = [Phase(first, options.steps, 1.0), Phase(second, options.steps // 2, 0.4)]
    model, words = trained(phases, seed, options.work / "checkpoint.pt")
    order = np.random.default_rng(seed).permutation(len(second.images))[:6144]
    batches = (_pixels(second.images[rows]) for rows in np.array_split(order, 48))
    export(model, words.known, MODEL, options.out, batches)
    write_known(options.out, folder, seed)
    print(f"written to {options.out}")


def trained(phases: list[Phase], seed: int, checkpoint: Path) -> tuple[nn.Module, Words]:
    """The model with an embedding for known words only; goes on where `checkpoint` stands."""
    torch.manual_seed(seed)
    bank = single_captions(seed)
    words = Words(_known_tokens(phases[0].scenes, bank, seed))
    model = new_model(len(words.known))
    optimizer = torch.optim.AdamW(_groups(model), lr=1.0, betas=(0.9, 0.98))
    begin, end = _restored(checkpoint, model, optimizer), sum(phase.steps for phase in phases)
    clock, losses = time.monotonic(), []
    for step, phase, rate in _plan(phases):
        if step < begin:
            continue
        for group in optimizer.param_groups:
            group["lr"] = group["peak"] * rate
        losses.append(
            _step(model, optimizer, phase.scenes, bank, words, np.random.default_rng([seed, 2, step]))
        )
        if (step + 1) % CHECKPOINT_EVERY == 0 or step + 1 == end:
            speed = (time.monotonic() - clock) / len(losses)
            loss = np.mean(losses[-CHECKPOINT_EVERY:])
            print(f"step {step + 1} of {end}: loss {loss:.3f}, {speed:.2f} s a step", flush=True)
            _saved(checkpoint, model, optimizer, step + 1)
    return model.eval(), words


def _plan(phases: list[Phase]) -> Iterator[tuple[int, Phase, float]]:
    step = 0
    for phase in phases:
        for own in range(phase.steps):
            yield step, phase, phase.peak * schedule(own, phase.steps)
            step += 1


def new_model(words: int) -> nn.Module:
    config = {**MODEL, "text_cfg": {**MODEL["text_cfg"], "vocab_size": words}}
    model: nn.Module = open_clip.CLIP(**config)
    nn.init.normal_(model.get_parameter("token_embedding.weight"), std=0.3)
    return model.to(memory_format=torch.channels_last)


def schedule(step: int, steps: int, warmup: int = 60) -> float:
    """Linear warm-up, then half a cosine down to 1 %."""
    if step < warmup:
        return (step + 1) / warmup
    return 0.01 + 0.99 * (1 + math.cos(math.pi * (step - warmup) / max(1, steps - warmup))) / 2


def single_captions(seed: int, draws: int = 240) -> dict[str, list[list[str]]]:
    """By attribute and value, the captions that speak of it alone."""
    rng = np.random.default_rng([seed, 3])
    some = {name: values[0] for name, values in ATTRIBUTES.items()} | {"density": "few", "objects": "person"}
    return {
        name: [
            sorted({captions({**some, name: value}, rng)[place] for _ in range(draws)})
            for value in ATTRIBUTES[name]
        ]
        for place, name in enumerate(SINGLES)
    }


def _step(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    scenes: SceneSet,
    bank: dict[str, list[list[str]]],
    words: Words,
    rng: np.random.Generator,
) -> float:
    rows = rng.choice(len(scenes.images), BATCH, replace=False)
    alone = {name: _drawn(values, rng) for name, values in bank.items()}
    joined, places = _captions(scenes, rows, rng)
    texts = [text for group in alone.values() for text in group] + joined + places
    model.train()
    with torch.autocast("cpu", torch.bfloat16):
        features = model.encode_image(_augmented(scenes.images[rows], rng))  # type: ignore[operator]
    images = tnf.normalize(features.float(), dim=-1)
    encoded = tnf.normalize(model.encode_text(words([_thinned(t, rng) for t in texts])), dim=-1)  # type: ignore[operator]
    scale = model.logit_scale.exp().clamp(max=100)  # type: ignore[operator]
    logits = scale * images @ encoded.T
    sizes = [*(len(group) for group in alone.values()), JOINED, PLACES]
    *groups, with_joined, with_places = logits.split(sizes, dim=1)
    truth = _targets(scenes, rows)
    loss = torch.stack(
        [_single_loss(part, truth[name]) for part, name in zip(groups, alone, strict=True)]
    ).sum()
    loss = loss + 0.3 * _pair_loss(with_joined, *joined_pairs(scenes.labels[rows], JOINED))
    loss = loss + 0.3 * _pair_loss(with_places, *place_pairs(scenes.labels[rows], PLACES))
    optimizer.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]
    nn.utils.clip_grad_norm_(model.parameters(), 2.0)
    optimizer.step()
    return float(loss.detach())


def _single_loss(logits: Tensor, truth: Tensor) -> Tensor:
    """logits (B, values * PER_VALUE): every caption of the true value is a positive."""
    by_value = logits.reshape(len(logits), -1, PER_VALUE)
    forward = tnf.cross_entropy(by_value.logsumexp(dim=2), truth)
    return forward + 0.5 * tnf.cross_entropy(
        by_value.permute(2, 0, 1).reshape(-1, by_value.shape[1]), truth.repeat(2)
    )


def _pair_loss(logits: Tensor, positive: Tensor, negative: Tensor) -> Tensor:
    """Both directions of the contrastive loss; pairs that are neither positive nor surely wrong are
    left out.
    """
    losses = []
    for scores, good, bad in ((logits, positive, negative), (logits.T, positive.T, negative.T)):
        total = scores.masked_fill(~(good | bad), -torch.inf).logsumexp(dim=1)
        hits = scores.masked_fill(~good, -torch.inf).logsumexp(dim=1)
        rows = good.any(dim=1)
        losses.append((total - hits)[rows].mean())
    return torch.stack(losses).mean()


def joined_pairs(labels: Labels, count: int) -> tuple[Tensor, Tensor]:
    """(B, count) positive and negative pairs: a joined caption tells the site and at least two of
    four attributes, so it is surely wrong for another site, or where three of the four differ.
    """
    same = _same(labels, count)
    others = same[:, :, : len(SINGLES)].sum(dim=2)
    site = same[:, :, list(ATTRIBUTES).index("site")]
    return site & (others == len(SINGLES)), ~site | (others <= 1)


def place_pairs(labels: Labels, count: int) -> tuple[Tensor, Tensor]:
    """As joined_pairs for a caption of the site, which may add weather and view."""
    same = _same(labels, count)
    names = list(ATTRIBUTES)
    site = same[:, :, names.index("site")]
    return site & same[:, :, names.index("weather")] & same[:, :, names.index("view")], ~site


def _same(labels: Labels, count: int) -> Tensor:
    return torch.from_numpy(labels[:, None] == labels[None, :count])


def _drawn(values: list[list[str]], rng: np.random.Generator) -> list[str]:
    return [str(text) for texts in values for text in rng.choice(texts, PER_VALUE)]


def _captions(scenes: SceneSet, rows: Labels, rng: np.random.Generator) -> tuple[list[str], list[str]]:
    texts = [captions(scenes.attributes[row], rng) for row in rows[: max(JOINED, PLACES)]]
    return [str(rng.choice(each[6:])) for each in texts[:JOINED]], [each[4] for each in texts[:PLACES]]


def _thinned(text: str, rng: np.random.Generator) -> str:
    """Now and then a word is missing, so that a user's own wording is understood too."""
    parts = text.split()
    if len(parts) > 2 and rng.random() < 0.15:
        del parts[int(rng.integers(len(parts)))]
    return " ".join(parts)


def _targets(scenes: SceneSet, rows: Labels) -> dict[str, Tensor]:
    return {name: torch.from_numpy(scenes.column(name)[rows]) for name in SINGLES}


def _augmented(images: Pixels, rng: np.random.Generator) -> Tensor:
    """Mirrored, shifted by up to 4 px, and slightly brighter or darker."""
    flipped = np.where(rng.random((len(images), 1, 1, 1)) < 0.5, images[:, :, ::-1], images)
    pixels = tnf.pad(_pixels(flipped), (4, 4, 4, 4), mode="replicate")
    down, right = (int(offset) for offset in rng.integers(0, 9, 2))
    gain = torch.from_numpy(rng.uniform(0.92, 1.08, (len(images), 1, 1, 1)).astype(np.float32))
    size = PREPROCESS.size
    shifted = pixels[:, :, down : down + size[0], right : right + size[1]] * gain
    return torch.as_tensor(shifted.contiguous(memory_format=torch.channels_last))


def _pixels(images: Pixels) -> Tensor:
    """(B, 3, 112, 112) float32, normalized as the model's preprocessing does."""
    mean, std = (np.array(values, np.float32) for values in (PREPROCESS.mean, PREPROCESS.std))
    return torch.as_tensor(((images / np.float32(255) - mean) / std).transpose(0, 3, 1, 2))


def _known_tokens(scenes: SceneSet, bank: dict[str, list[list[str]]], seed: int) -> Tensor:
    rng = np.random.default_rng([seed, 4])
    texts = [text for values in bank.values() for group in values for text in group]
    texts += [text for each in scenes.attributes[::5] for text in captions(each, rng)]
    known: Tensor = torch.unique(_tokens(sorted({word for text in texts for word in text.split()})))
    return known


def _tokens(texts: list[str]) -> Tensor:
    return torch.as_tensor(open_clip.tokenize(texts, MODEL["text_cfg"]["context_length"]))


def _groups(model: nn.Module) -> Iterator[dict[str, Any]]:
    """The image tower learns faster than the text tower; norms, biases and embeddings do not decay."""
    for image in (True, False):
        for decays in (True, False):
            chosen = [
                parameter
                for name, parameter in model.named_parameters()
                if name.startswith("visual.") == image
                and (parameter.ndim >= 2 and "embedding" not in name) == decays
            ]
            yield {"params": chosen, "weight_decay": 0.05 if decays else 0.0, "peak": 2e-3 if image else 1e-3}


def _saved(path: Path, model: nn.Module, optimizer: torch.optim.Optimizer, step: int) -> None:
    state = {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "step": step}
    with draft_of(path) as draft:
        torch.save(state, draft)


def _restored(path: Path, model: nn.Module, optimizer: torch.optim.Optimizer) -> int:
    if not path.exists():
        return 0
    state = torch.load(path, weights_only=True)
    model.load_state_dict(state["model"])
    optimizer.load_state_dict(state["optimizer"])
    print(f"going on at step {state['step']}", flush=True)
    return int(state["step"])


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, default=Path("config/clip_small"))
    parser.add_argument("--work", type=Path, default=Path("clip_work"), help="scenes and checkpoint")
    parser.add_argument("--scenes", type=int, default=24_000)
    parser.add_argument("--steps", type=int, default=1_600)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    return parser.parse_args()


if __name__ == "__main__":
    main()
