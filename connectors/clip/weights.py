"""Where the weights of an embedder come from: a local folder, a weights file, or the hub."""

from __future__ import annotations

import difflib
import json
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import open_clip
from huggingface_hub import constants
from open_clip.pretrained import download_pretrained, download_pretrained_from_hf

from connectors.errors import ModelError, WeightsUnavailable

CONFIG = "open_clip_config.json"
PROBE_SECONDS = 5.0
TELLING = ("embed_dim", "image_size", "layers", "width", "patch_size", "timm_model_name")
ADVICE = (
    "copy a folder with open_clip_config.json and open_clip_model.safetensors to this machine and "
    'set embedder.model to its path, or to "small" for the carried one'
)
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Source:
    """folder: where a local one lies, which may hold more than open_clip reads.
    preprocess: how images are prepared for a weights file; None where open_clip finds that itself.
    """

    name: str
    pretrained: str | None
    label: str
    config: dict[str, Any]
    folder: Path | None = None
    preprocess: dict[str, Any] | None = None


def resolve(model: str, pretrained: str | None, cache_dir: Path | None, trust_pickle: bool) -> Source:
    if model.startswith("hf-hub:"):
        return _hub(model, cache_dir)
    path = Path(model.removeprefix("local-dir:")).expanduser()
    known = model.replace("/", "-") in open_clip.list_models()
    looks_local = not known and ("/" in model or model.startswith("."))
    if model.startswith("local-dir:") or path.is_dir() or looks_local:
        return _folder(path, trust_pickle)
    if not known:
        near = difflib.get_close_matches(model, open_clip.list_models(), 3, 0.3)
        raise ModelError(
            "embedder.model: expected an open_clip architecture, hf-hub:org/name or a folder; "
            f"got {model!r}; nearest architectures: {', '.join(near) or 'none'}"
        )
    return _architecture(model.replace("/", "-"), pretrained, cache_dir, trust_pickle)


def _folder(path: Path, trust_pickle: bool) -> Source:
    config = path / CONFIG
    if not config.is_file():
        got = "a folder without it" if path.is_dir() else "no such folder"
        raise WeightsUnavailable(f"embedder.model: expected {CONFIG} in {str(path)!r}; got {got}; {ADVICE}")
    if not any(path.glob("*.safetensors")):
        pickles = [file.name for kind in ("*.bin", "*.pt", "*.pth") for file in path.glob(kind)]
        if not (pickles and trust_pickle):
            got = f"{', '.join(pickles)}, which may run code when loaded" if pickles else "no weights"
            raise WeightsUnavailable(
                f"embedder.model: expected *.safetensors in {str(path)!r}; got {got}; {ADVICE}"
            )
    try:
        content = json.loads(config.read_text("utf-8"))
        model_cfg = content["model_cfg"]
    except (ValueError, KeyError, TypeError) as error:
        raise ModelError(
            f"{config}: expected JSON with a model_cfg; got {short(error)}; "
            "copy the whole open_clip folder again"
        ) from error
    preprocessing(content, str(config))
    return Source(f"local-dir:{path}", None, path.resolve().name, model_cfg, path)


def _hub(model: str, cache_dir: Path | None) -> Source:
    repository, cache = model.removeprefix("hf-hub:"), as_text(cache_dir)
    what = f"the weights of {model}"
    config = _fetch(what, lambda: download_pretrained_from_hf(repository, filename=CONFIG, cache_dir=cache))
    _fetch(what, lambda: download_pretrained_from_hf(repository, cache_dir=cache))
    content = json.loads(Path(config).read_text("utf-8"))
    preprocessing(content, f"{CONFIG} of {model}")
    return Source(model, None, model, content["model_cfg"])


def preprocessing(content: dict[str, Any], where: str) -> dict[str, Any]:
    """What a configuration says of how images are prepared: its preprocess_cfg.

    Raises ModelError where it does not tell mean and standard deviation of the three colors: open_clip
    would take those of OpenAI's CLIP, and the vectors would be wrong without a word.
    """
    prepared = content.get("preprocess_cfg")
    if isinstance(prepared, dict) and _colors(prepared.get("mean")) and _colors(prepared.get("std"), 1e-6):
        return prepared
    raise ModelError(
        f"{where}: expected preprocess_cfg with mean and std of three colors, got {prepared!r}; copy the"
        f" {CONFIG} that was published with the weights, or write into it how the model was trained"
    )


def _colors(values: Any, least: float = 0.0) -> bool:
    numbers = isinstance(values, list) and all(isinstance(value, int | float) for value in values)
    return numbers and len(values) == 3 and all(least <= value <= 1 for value in values)


def _of_file(file: Path, model: str, architecture: Mapping[str, Any]) -> dict[str, Any]:
    """How images are prepared for a weights file of this architecture: what the configuration beside it
    says. Raises ModelError, also where that is of another one.
    """
    config = file.parent / CONFIG
    try:
        content = json.loads(config.read_text("utf-8"))
    except FileNotFoundError:
        raise ModelError(
            f"embedder.pretrained: expected {CONFIG} beside {str(file)!r}, which says how images are prepared"
            f" for these weights; got none; copy the one that was published with them into {file.parent}"
        ) from None
    except ValueError as error:
        raise ModelError(
            f"{config}: expected JSON; got {short(error)}; copy the file that was published with the weights"
        ) from error
    content = content if isinstance(content, dict) else {}
    prepared = preprocessing(content, str(config))
    if unlike := _unlike(content.get("model_cfg"), architecture):
        raise ModelError(
            f"{config}: expected the configuration of {model}, got that of another model ({unlike}), and"
            f" images would be prepared for that one; copy the {CONFIG} that was published with {file.name}"
        )
    return {key: value for key, value in prepared.items() if key != "size"}  # the architecture says it


def _unlike(stated: Any, architecture: Mapping[str, Any]) -> str:
    """In what the vision tower of a configuration parts from that of an architecture, "" where it does
    not, or does not say.
    """
    ours, theirs = _told(architecture), _told(stated if isinstance(stated, Mapping) else {})
    parted = [name for name in TELLING if name in ours.keys() & theirs.keys() and ours[name] != theirs[name]]
    return ", ".join(f"{name} {theirs[name]!r}, not {ours[name]!r}" for name in parted)


def _told(model_cfg: Mapping[str, Any]) -> dict[str, Any]:
    vision = model_cfg.get("vision_cfg")
    return {
        **(vision if isinstance(vision, Mapping) else {}),
        **{name: model_cfg[name] for name in ("embed_dim",) if name in model_cfg},
    }


def _architecture(model: str, pretrained: str | None, cache_dir: Path | None, trust_pickle: bool) -> Source:
    config: dict[str, Any] = open_clip.get_model_config(model)
    tags = open_clip.list_pretrained_tags_by_model(model)
    if pretrained in tags:
        entry = open_clip.get_pretrained_cfg(model, pretrained)
        _fetch(
            f"the weights of {model}/{pretrained}",
            lambda: download_pretrained(entry, cache_dir=as_text(cache_dir)),
        )
        return Source(model, pretrained, f"{model}/{pretrained}", config)
    if pretrained and Path(pretrained).is_file():
        if Path(pretrained).suffix != ".safetensors" and not trust_pickle:
            raise ModelError(
                f"embedder.pretrained: expected a .safetensors file; got {pretrained!r}, which may run code "
                "when loaded; convert it, or set trust_pickle if you made it yourself"
            )
        prepared = _of_file(Path(pretrained), model, config)
        return Source(model, pretrained, f"{model}/{Path(pretrained).name}", config, preprocess=prepared)
    raise ModelError(
        f"embedder.pretrained: expected a tag of {model} ({', '.join(tags) or 'it has none'}) or a weights "
        f"file; got {pretrained!r}; choose one of them"
    )


def _fetch(what: str, get: Callable[[], T]) -> T:
    """From the cache when it is there, else from the network if that answers at all."""
    try:
        with hub_offline():
            return get()
    except ImportError as error:
        raise ModelError(f"embedder: expected to load {what}; got {short(error)}; install it") from error
    except Exception as error:
        if constants.is_offline_mode():
            raise _unavailable(what, "nothing in the cache, and HF_HUB_OFFLINE is set") from error
    if not _reachable(constants.ENDPOINT):
        raise _unavailable(what, f"nothing in the cache, and no answer from {constants.ENDPOINT}")
    try:
        return get()
    except Exception as error:
        raise _unavailable(what, short(error)) from error


def _unavailable(what: str, got: str) -> WeightsUnavailable:
    return WeightsUnavailable(f"embedder: expected {what} here or by download; got {got}; {ADVICE}")


def _reachable(url: str) -> bool:
    """Whether a server answers, whatever it says; bounded, where the hub's own retries take 47 s."""
    answers: list[bool] = []
    probe = threading.Thread(target=lambda: answers.append(_answers(url)), daemon=True)
    probe.start()
    probe.join(PROBE_SECONDS + 1)
    return answers == [True]


def _answers(url: str) -> bool:
    try:
        request = urllib.request.Request(url, method="HEAD")  # noqa: S310
        urllib.request.urlopen(request, timeout=PROBE_SECONDS).close()  # noqa: S310
    except urllib.error.HTTPError:
        return True
    except (OSError, ValueError):
        return False
    return True


@contextmanager
def hub_offline() -> Iterator[None]:
    before = constants.HF_HUB_OFFLINE
    constants.HF_HUB_OFFLINE = True
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = before


def tokenizer(source: Source, cache_dir: Path | None) -> Any:
    """SimpleTokenizer, or the one that the configuration names. Raises WeightsUnavailable,
    ModelError.
    """
    return _fetch(
        f"the tokenizer of {source.label}",
        lambda: open_clip.get_tokenizer(source.name, cache_dir=as_text(cache_dir)),
    )


def as_text(path: Path | None) -> str | None:
    return None if path is None else str(path)


def short(error: BaseException) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())[:300]
