"""What the small CLIP can tell: `python -m demo.clip_report config/clip_small` measures it on fresh
scenes and writes MODEL_CARD.md beside the weights.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from connectors.clip.embedder import load_embedder
from connectors.clip.known_images import load_known
from connectors.images import decode
from connectors.ports import Array, Capture, Embedder, Image
from connectors.sources.video import VideoSource
from demo.captions import VOCABULARY
from demo.clip_scenes import ATTRIBUTES, PREPROCESS, Labels, all_cameras, labels_of, random_specs, stored
from demo.foreign import foreign_pictures
from demo.render import CAMERAS, Camera, SceneSpec, render
from loop.settings.settings import load_settings

PROMPTS: dict[str, dict[str, str]] = {
    "time": {
        "day": "a photo taken in daylight",
        "dusk": "a photo taken at dusk",
        "night": "a photo taken at night",
    },
    "weather": {
        "clear": "a photo taken in clear weather",
        "fog": "a photo taken in fog",
        "rain": "a photo taken in rain",
        "snow": "a photo taken in snow",
    },
    "view": {
        "eye level": "a photo at eye level",
        "overhead": "a photo from above",
        "wide angle": "a photo through a wide angle lens",
        "tilted": "a photo from a tilted camera",
    },
    "quality": {
        "sharp": "a sharp photo",
        "blurred": "a blurred photo",
        "compressed": "a compressed photo",
        "low resolution": "a photo in low resolution",
        "dirty lens": "a photo through a dirty lens",
    },
}


@dataclass(frozen=True)
class FreshScenes:
    """specs, their frames (192, 320, 3) uint8 RGB after JPEG, labels (N, A) into ATTRIBUTES,
    cameras by id.
    """

    specs: list[SceneSpec]
    images: list[Image]
    labels: Labels
    cameras: Mapping[str, Camera]

    def column(self, attribute: str) -> Labels:
        return np.asarray(self.labels[:, list(ATTRIBUTES).index(attribute)])


def fresh_scenes(count: int, seed: int, cameras: Mapping[str, Camera] = CAMERAS) -> FreshScenes:
    """Scenes of a seed that training never used, from the world's own cameras."""
    specs = sorted(random_specs(count, seed, dict(cameras)), key=lambda spec: spec.camera)
    scenes = [render(spec) for spec in specs]
    labels = np.array([labels_of(scene.attributes) for scene in scenes], dtype=np.int64)
    return FreshScenes(specs, [stored(scene.image) for scene in scenes], labels, dict(cameras))


def shares(vectors: Array, texts: Array) -> NDArray[np.float64]:
    """(P,): how often each prompt is the nearest."""
    return np.bincount(nearest(vectors, texts), minlength=len(texts)) / len(vectors)


def nearest(vectors: Array, texts: Array) -> Labels:
    """(N,): the prompt nearest to each image, zero-shot as in Radford et al. (2021)."""
    return np.asarray((vectors @ texts.T).argmax(axis=1), dtype=np.int64)


def balanced_accuracy(truth: Labels, answer: Labels) -> float:
    """The mean over the classes of how many of each were answered right."""
    return float(np.mean([(answer[truth == each] == each).mean() for each in np.unique(truth)]))


def accuracies(embedder: Embedder, scenes: FreshScenes) -> dict[str, float]:
    """Zero-shot balanced accuracy per attribute; quality only on cameras that are not bad
    themselves.
    """
    vectors = embedder.embed(scenes.images)
    every = np.ones(len(vectors), bool)
    good = np.array([scenes.cameras[spec.camera].resolution == 1 for spec in scenes.specs])
    found = {}
    for attribute, prompts in PROMPTS.items():
        rows = good if attribute == "quality" else every
        answer = nearest(vectors[rows], embedder.embed_text(list(prompts.values())))
        found[attribute] = balanced_accuracy(scenes.column(attribute)[rows], answer)
    return found


def novelty(known: Array, vectors: Array, k: int = 5) -> NDArray[np.float64]:
    """(N,): one minus the cosine to the k-th nearest of `known`."""
    return np.asarray(1 - np.sort(vectors @ known.T, axis=1)[:, -k], dtype=np.float64)


CARD = """# A small CLIP for conditions

Made by `python -m demo.train_clip` for machines that cannot download weights. RegNetX-200MF at 112 px and a text
transformer of two layers, 128 dimensions; a folder that open_clip loads unchanged.

**Trained on** {scenes} rendered, captioned scenes and nothing else: five sites, polygon objects, drawn day, dusk,
night, fog, rain, snow, four camera views and five image qualities. No photograph was ever seen. Its vocabulary is the
{words} words of `demo/captions.py`; any other word counts for nothing.

**Can tell**, zero-shot, on {fresh} scenes of a fresh seed (balanced accuracy), by the world's own cameras and by
{strange} cameras that training never saw:

| | the world's cameras | never seen | chance |
|---|---|---|---|
{table}

**Says that it knows nothing like an image** (`known.npz`, by `python -m demo.clip_known`; what open_clip loads does not
change). The limit is set so that one in a hundred scenes of drawn conditions lies beyond it. It was learned without a
photograph, but this way was chosen among several by how it did on photographs such as these:

| frames | unlike all that it knows | AUROC against the scenes |
|---|---|---|
{strangeness}

**Cannot tell** objects, their number, or anything about real photographs. Those that it does not take for strange, dark
ones above all, it answers as if they were rendered. For real frames take real CLIP weights; this one stands in for them
where light, weather and view matter more than content.
Quality is hard at 112 px: fine blur and weak compression are gone once a frame is that small.

`vectors.npz` holds JPEG files, prompts and their vectors by stock open_clip, to check an installation by.
"""


def main() -> None:
    options = _options()
    embedder = load_embedder(str(options.folder), batch=load_settings(None).embedder.batch)
    usual = fresh_scenes(options.count, options.seed)
    with all_cameras(options.seed) as cameras:
        made_up = {name: camera for name, camera in cameras.items() if not camera.known}
        unusual = fresh_scenes(options.count, options.seed + 1, made_up)
    world, strange = accuracies(embedder, usual), accuracies(embedder, unusual)
    small = np.stack([_small(image) for image in unusual.images])
    drawn = list(foreign_pictures(options.count // 3, options.seed, small))
    rows = strangeness_table(
        options.folder,
        {"scenes, the world's cameras": usual.images, "scenes, cameras never seen": unusual.images},
        {"pictures drawn anew by `demo/foreign.py`": drawn}
        | {f"photographs: {source.stem}": photographs(source) for source in options.photographs},
    )
    counts = {
        "fresh": options.count,
        "scenes": options.trained_on,
        "strange": len(made_up),
        "words": len(VOCABULARY),
    }
    text = CARD.format(
        table=table(world, strange),
        strangeness=rows,
        **{name: f"{count:,}" for name, count in counts.items()},
    )
    (options.folder / "MODEL_CARD.md").write_text(text)
    print(table(world, strange), rows, sep="\n")


def strangeness_table(
    folder: Path, known: Mapping[str, list[Image]], foreign: Mapping[str, list[Image]]
) -> str:
    """How many of each the model holds to be unlike all that it knows, and how well that tells each
    from all of `known`.
    """
    embedder = load_embedder(str(folder), batch=load_settings(None).embedder.batch)
    account = load_known(folder, embedder.dim)
    assert account is not None, (
        f"{folder}: expected known.npz; run `python -m demo.clip_known {folder}` first"
    )
    scores = {
        name: account.strangeness(embedder.embed(images)) for name, images in {**known, **foreign}.items()
    }
    usual = np.concatenate([scores[name] for name in known])
    areas = {name: f"{separation(usual, scores[name]):.3f}" for name in foreign}
    return "\n".join(
        f"| {name} ({len(score):,}) | {(score > 0).mean():.1%} | {areas.get(name, '')} |"
        for name, score in scores.items()
    )


def separation(known: Array, foreign: Array) -> float:
    """Area under the ROC curve."""
    truth = np.repeat([0, 1], [len(known), len(foreign)])
    return float(roc_auc_score(truth, np.concatenate([known, foreign])))


def photographs(source: Path, most: int = 400) -> list[Image]:
    """Two frames a second of a video; of a folder at most `most` of the JPEG files below, evenly
    over their names.
    """
    if source.is_file():
        items = VideoSource(source, every_s=0.5).captures()
        return [decode(item.read()) for item in items if isinstance(item, Capture)]
    paths = sorted(source.rglob("*.jpg"))
    return [decode(path.read_bytes()) for path in paths[:: -(-len(paths) // most)]]


def _small(image: Image) -> Image:
    return np.ascontiguousarray(PREPROCESS.pixels(image).permute(1, 2, 0).numpy())


def table(world: Mapping[str, float], strange: Mapping[str, float]) -> str:
    titles = {"time": "time of day", "weather": "weather", "view": "camera view", "quality": "image quality"}
    rows = [(f"{titles[name]} ({len(PROMPTS[name])})", name, 1 / len(PROMPTS[name])) for name in PROMPTS]
    return "\n".join(
        f"| {title} | {world[n]:.2f} | {strange[n]:.2f} | {chance:.2f} |" for title, n, chance in rows
    )


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--count", type=int, default=1500)
    parser.add_argument("--seed", type=int, default=20_261)
    parser.add_argument("--trained-on", type=int, default=32_000)
    parser.add_argument("--photographs", type=Path, nargs="*", default=[], help="folders or videos")
    return parser.parse_args()


if __name__ == "__main__":
    main()
