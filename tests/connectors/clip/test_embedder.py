import json
import time
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import pytest
import torch
from open_clip.transform import PreprocessCfg, image_transform_v2
from PIL import Image as PilImage
from safetensors.torch import save_file

from connectors.clip import embedder as clip
from connectors.clip import weights
from connectors.clip.embedder import Preprocess
from connectors.clip.known_images import KnownImages, save_known
from connectors.errors import ModelError, WeightsUnavailable

MODEL: dict[str, Any] = {
    "embed_dim": 16,
    "vision_cfg": {"image_size": 32, "layers": 1, "width": 32, "patch_size": 16, "head_width": 16},
    "text_cfg": {"context_length": 16, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 1},
}
load_embedder = partial(clip.load_embedder, batch=32)
PREPROCESS = {"mean": [0.4, 0.5, 0.6], "std": [0.2, 0.3, 0.4]}


def make_folder(folder: Path, seed: int = 0, **preprocess: Any) -> Path:
    folder.mkdir(parents=True)
    torch.manual_seed(seed)
    content = {"model_cfg": MODEL, "preprocess_cfg": {**PREPROCESS, **preprocess}}
    (folder / weights.CONFIG).write_text(json.dumps(content))
    model = open_clip.create_model(f"local-dir:{folder}")
    save_file(model.state_dict(), folder / "open_clip_model.safetensors")
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_folder(tmp_path_factory.mktemp("clip") / "tiny")


def scenes(count: int, rng: np.random.Generator) -> list[np.ndarray]:
    """Smooth colored pictures of different sizes: noise would hide what resampling does to a photo."""
    images = []
    for _ in range(count):
        coarse = rng.integers(0, 256, (6, 8, 3), dtype=np.uint8)
        size = (int(rng.integers(90, 400)), int(rng.integers(60, 300)))
        images.append(np.asarray(PilImage.fromarray(coarse).resize(size, PilImage.Resampling.BICUBIC)))
    return images


def stock_vectors(folder: Path, images: list[np.ndarray]) -> np.ndarray:
    model, transform = open_clip.create_model_from_pretrained(f"local-dir:{folder}")
    with torch.inference_mode():
        pixels = torch.stack([transform(PilImage.fromarray(image)) for image in images])
        return model.eval().encode_image(pixels, normalize=True).numpy()


def test_images_and_texts_become_unit_vectors(folder: Path) -> None:
    embedder = load_embedder(str(folder), precision="fp32", batch=2)
    vectors = embedder.embed(scenes(5, np.random.default_rng(0)))
    texts = embedder.embed_text(["a photo taken at night", "fog", "rain"])
    assert (vectors.shape, texts.shape, embedder.dim) == ((5, 16), (3, 16), 16)
    assert vectors.dtype == texts.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(np.vstack([vectors, texts]), axis=1), 1, atol=1e-5)


def test_nothing_in_nothing_out(folder: Path) -> None:
    embedder = load_embedder(str(folder))
    assert embedder.embed([]).shape == embedder.embed_text([]).shape == (0, 16)


def known_of_the_first_coordinate(folder: Path) -> Path:
    """Unlike is what has more than .1 in the first coordinate."""
    first = np.eye(16, 2, dtype=np.float32)
    known = KnownImages(
        first, np.zeros(2, np.float32), np.array([1, 0], np.float32), np.array(-0.1, np.float32)
    )
    save_known(known, folder)
    return folder / "known.npz"


def test_without_an_account_of_its_images_nothing_is_unlike(folder: Path) -> None:
    assert load_embedder(str(folder)).unlike(np.eye(3, 16, dtype=np.float32)).tolist() == [False] * 3


def test_what_is_unlike_the_account_is_told_and_vectors_keep_their_name(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "tiny")
    name = load_embedder(str(folder)).name
    known_of_the_first_coordinate(folder)
    embedder = load_embedder(str(folder))
    assert embedder.unlike(np.eye(3, 16, dtype=np.float32)).tolist() == [True, False, False]
    assert embedder.unlike(np.zeros((0, 16), np.float32)).shape == (0,)
    assert embedder.name == name
    assert stock_vectors(folder, scenes(1, np.random.default_rng(0))).shape == (1, 16)


def test_an_account_of_other_weights_is_refused(tmp_path: Path) -> None:
    account = known_of_the_first_coordinate(make_folder(tmp_path / "tiny"))
    other = make_folder(tmp_path / "other", seed=1)
    (other / "known.npz").write_bytes(account.read_bytes())
    with pytest.raises(
        ModelError, match=r"known.npz: expected .*; got that of other weights; copy the whole folder"
    ):
        load_embedder(str(other))


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"\x80\x04K\x01."])
def test_a_damaged_account_is_refused(tmp_path: Path, content: bytes) -> None:
    folder = make_folder(tmp_path / "tiny")
    known_of_the_first_coordinate(folder).write_bytes(content)
    with pytest.raises(
        ModelError, match=r"known.npz: expected what goes with the weights beside it; got \w+: "
    ):
        load_embedder(str(folder))


def test_an_account_for_longer_vectors_is_refused(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "tiny")
    layers = (np.zeros(shape, np.float32) for shape in ((32, 2), 2, 2, ()))
    save_known(KnownImages(*layers), folder)
    with pytest.raises(ModelError, match=r"got layers of \(32, 2\) and \(2,\) for vectors of 16"):
        load_embedder(str(folder))


@pytest.mark.parametrize(("precision", "least"), [("fp32", 0.999), ("bf16", 0.995)])
def test_vectors_agree_with_stock_open_clip(folder: Path, precision: Any, least: float) -> None:
    images = scenes(12, np.random.default_rng(1))
    ours = load_embedder(f"local-dir:{folder}", precision=precision, batch=5).embed(images)
    assert (ours * stock_vectors(folder, images)).sum(axis=1).min() >= least


@pytest.mark.parametrize("resize_mode", ["shortest", "squash", "longest"])
@pytest.mark.parametrize("size", [32, (24, 40)])
def test_preprocessing_agrees_with_stock(resize_mode: Any, size: Any) -> None:
    if (resize_mode, size) == ("longest", 32):
        size = (32, 32)
    config = PreprocessCfg(size=size, resize_mode=resize_mode)
    stock = image_transform_v2(config, is_train=False)
    fields = asdict(config)
    fields.pop("mode")
    ours = Preprocess(**{**fields, "size": (size, size) if isinstance(size, int) else size})
    for image in scenes(10, np.random.default_rng(2)):
        expected, got = stock(PilImage.fromarray(image)), ours(image)
        assert expected.shape == got.shape
        assert torch.cosine_similarity(expected.flatten(), got.flatten(), dim=0) >= 0.999


def test_read_only_and_flipped_images_are_taken(folder: Path) -> None:
    embedder = load_embedder(str(folder), precision="fp32")
    image = scenes(1, np.random.default_rng(3))[0]
    image.flags.writeable = False
    expected = embedder.embed([np.ascontiguousarray(image[:, ::-1]).copy()])
    np.testing.assert_allclose(embedder.embed([image[:, ::-1]]), expected, atol=1e-6)


@pytest.mark.parametrize(
    "bad", [np.zeros((8, 8), np.uint8), np.zeros((8, 8, 3), np.float32), np.zeros((0, 8, 3), np.uint8)]
)
def test_what_is_no_rgb_image_is_named(folder: Path, bad: Any) -> None:
    with pytest.raises(ValueError, match=r"expected \(H, W, 3\) uint8 RGB; got \(.*decode it to RGB first"):
        load_embedder(str(folder)).embed([bad])


def test_the_name_changes_whenever_vectors_would(folder: Path, tmp_path: Path) -> None:
    same = load_embedder(str(folder), precision="fp32").name
    assert same == load_embedder(f"local-dir:{folder}", precision="fp32", batch=1, threads=1).name
    others = [
        load_embedder(str(folder), precision="bf16").name,
        load_embedder(str(make_folder(tmp_path / "a" / "tiny", seed=1)), precision="fp32").name,
        load_embedder(str(make_folder(tmp_path / "b" / "tiny", mean=[0, 0, 0])), precision="fp32").name,
        load_embedder(str(make_folder(tmp_path / "c" / "tiny", resize_mode="squash")), precision="fp32").name,
    ]
    assert len({same, *others}) == 5
    assert same.startswith("tiny@")


def test_a_moved_folder_keeps_its_name(folder: Path, tmp_path: Path) -> None:
    moved = make_folder(tmp_path / "elsewhere" / "tiny")
    assert load_embedder(str(moved)).name == load_embedder(str(folder)).name


def test_an_architecture_takes_a_weights_file(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "tiny-test.json").write_text(json.dumps(MODEL))
    open_clip.add_model_config(tmp_path / "tiny-test.json")
    named = load_embedder("tiny-test", str(folder / "open_clip_model.safetensors"), precision="fp32")
    assert named.name.startswith("tiny-test/open_clip_model.safetensors@")
    text = load_embedder(str(folder), precision="fp32").embed_text(["fog"])
    np.testing.assert_array_equal(named.embed_text(["fog"]), text)
    images = scenes(3, np.random.default_rng(6))
    np.testing.assert_allclose(
        named.embed(images), load_embedder(str(folder), precision="fp32").embed(images)
    )
    save_file({"x": torch.zeros(1)}, tmp_path / "other.safetensors")
    (tmp_path / weights.CONFIG).write_bytes((folder / weights.CONFIG).read_bytes())
    with pytest.raises(
        ModelError, match=r"expected open_clip to build 'tiny-test/other.safetensors'; got Runtime"
    ):
        load_embedder("tiny-test", str(tmp_path / "other.safetensors"))


def test_a_weights_file_that_does_not_say_how_images_are_prepared_is_refused(
    folder: Path, tmp_path: Path
) -> None:
    alone = tmp_path / "mobileclip_s1.safetensors"
    alone.write_bytes((folder / "open_clip_model.safetensors").read_bytes())
    with pytest.raises(
        ModelError,
        match=r"embedder\.pretrained: expected open_clip_config\.json beside .*; got none; copy the one",
    ):
        load_embedder("MobileCLIP-S1", str(alone))
    (tmp_path / weights.CONFIG).write_text("[")
    with pytest.raises(ModelError, match=r"open_clip_config\.json: expected JSON; got JSONDecodeError"):
        load_embedder("MobileCLIP-S1", str(alone))


def test_a_configuration_of_another_model_says_nothing_of_a_weights_file(
    folder: Path, tmp_path: Path
) -> None:
    """Of two models in one folder, one has the configuration."""
    (tmp_path / "ViT-B-32.safetensors").write_bytes((folder / "open_clip_model.safetensors").read_bytes())
    (tmp_path / weights.CONFIG).write_bytes((folder / weights.CONFIG).read_bytes())
    with pytest.raises(
        ModelError, match=r"expected the configuration of ViT-B-32, got that of another model \(embed_dim "
    ):
        load_embedder("ViT-B-32", str(tmp_path / "ViT-B-32.safetensors"))


@pytest.mark.parametrize(
    "prepared",
    [
        None,
        {},
        {"mean": [0.4, 0.5, 0.6]},
        {"mean": [0.5], "std": [0.5]},
        {"mean": [0, 0, 0], "std": [1, 1, 0]},
    ],
)
def test_a_folder_that_does_not_say_how_images_are_prepared_is_refused(prepared: Any, tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "tiny")
    content = json.loads((folder / weights.CONFIG).read_text())
    content["preprocess_cfg"] = prepared
    (folder / weights.CONFIG).write_text(json.dumps(content))
    with pytest.raises(ModelError, match="expected preprocess_cfg with mean and std of three colors, got"):
        load_embedder(str(folder))


def test_zero_and_one_are_a_preprocessing(tmp_path: Path) -> None:
    """That of MobileCLIP, which is not OpenAI's."""
    folder = make_folder(tmp_path / "tiny", mean=[0, 0, 0], std=[1, 1, 1], interpolation="bilinear")
    images = scenes(4, np.random.default_rng(7))
    ours = load_embedder(str(folder), precision="fp32").embed(images)
    assert (ours * stock_vectors(folder, images)).sum(axis=1).min() > 0.99


def test_threads_are_given_back(folder: Path) -> None:
    embedder = load_embedder(str(folder), threads=2)
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        embedder.embed(scenes(1, np.random.default_rng(4)))
        assert torch.get_num_threads() == 1
    finally:
        torch.set_num_threads(before)


def test_a_folder_without_weights_is_never_a_random_model(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "tiny")
    (folder / "open_clip_model.safetensors").unlink()
    with pytest.raises(
        WeightsUnavailable, match=r"expected \*.safetensors in .*; got no weights; copy a folder"
    ):
        load_embedder(str(folder))


def test_pickles_are_refused_unless_trusted(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "tiny")
    state = open_clip.create_model(f"local-dir:{folder}").state_dict()
    expected = load_embedder(str(folder)).name
    (folder / "open_clip_model.safetensors").unlink()
    torch.save(state, folder / "open_clip_pytorch_model.bin")
    with pytest.raises(
        WeightsUnavailable, match=r"got open_clip_pytorch_model.bin, which may run code when loaded"
    ):
        load_embedder(str(folder))
    assert load_embedder(str(folder), trust_pickle=True).name == expected


def test_a_pickled_weights_file_is_refused(tmp_path: Path) -> None:
    torch.save({}, tmp_path / "w.pt")
    with pytest.raises(ModelError, match=r"expected a .safetensors file; got .*w.pt', which may run code"):
        load_embedder("ViT-B-32", str(tmp_path / "w.pt"))


def test_damaged_weights_and_configuration_are_named(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "tiny")
    (folder / "open_clip_model.safetensors").write_bytes(b"\xff" * 64)
    with pytest.raises(ModelError, match=r"expected open_clip to build 'tiny'; got .*; check that"):
        load_embedder(str(folder))
    (folder / weights.CONFIG).write_text("{")
    with pytest.raises(
        ModelError, match=r"expected JSON with a model_cfg; got JSONDecodeError.*copy the whole"
    ):
        load_embedder(str(folder))


def test_weights_with_nan_are_refused(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "tiny")
    state = open_clip.create_model(f"local-dir:{folder}").state_dict()
    state["text_projection"] = torch.full_like(state["text_projection"], float("nan"))
    save_file(state, folder / "open_clip_model.safetensors")
    embedder = load_embedder(str(folder))
    with pytest.raises(ModelError, match="expected finite vectors; got NaN"):
        embedder.embed_text(["night"])


@pytest.mark.parametrize(
    ("model", "pretrained", "error", "text"),
    [
        ("ViT-B-23", "openai", ModelError, "got 'ViT-B-23'; nearest architectures: ViT-B-"),
        (
            "ViT-B-32",
            None,
            ModelError,
            r"expected a tag of ViT-B-32 \(openai, .*got None; choose one of them",
        ),
        ("ViT-B-32", "opneai", ModelError, r"\(openai, .*got 'opneai'"),
        (
            "./nowhere",
            None,
            WeightsUnavailable,
            "expected open_clip_config.json in 'nowhere'; got no such folder",
        ),
        ("local-dir:/no/where", None, WeightsUnavailable, "expected open_clip_config.json in '/no/where'"),
    ],
)
def test_a_wrong_name_is_answered_with_what_there_is(
    model: str, pretrained: str | None, error: type[Exception], text: str
) -> None:
    with pytest.raises(error, match=text):
        load_embedder(model, pretrained)


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody listens at port 9 of this machine."""
    monkeypatch.setattr(weights.constants, "ENDPOINT", "http://127.0.0.1:9")


@pytest.mark.parametrize("model", [("ViT-B-32", "laion2b_s34b_b79k"), ("hf-hub:some/model", None)])
@pytest.mark.usefixtures("no_network")
def test_without_a_network_the_answer_comes_at_once(model: tuple[str, str | None], tmp_path: Path) -> None:
    begin = time.monotonic()
    with pytest.raises(
        WeightsUnavailable, match=r"no answer from http://127.0.0.1:9; copy a folder .*\"small\" for"
    ):
        load_embedder(*model, cache_dir=tmp_path)
    assert time.monotonic() - begin < 8


def test_the_offline_switch_is_obeyed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(weights.constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(WeightsUnavailable, match="nothing in the cache, and HF_HUB_OFFLINE is set"):
        load_embedder("ViT-B-32", "laion2b_s34b_b79k", cache_dir=tmp_path)
    assert weights.constants.HF_HUB_OFFLINE


@pytest.mark.usefixtures("no_network")
def test_cached_hub_weights_need_no_network(folder: Path, tmp_path: Path) -> None:
    snapshot = tmp_path / "models--some--model" / "snapshots" / "0123"
    snapshot.mkdir(parents=True)
    (snapshot.parents[1] / "refs").mkdir()
    (snapshot.parents[1] / "refs" / "main").write_text("0123")
    (snapshot / weights.CONFIG).write_bytes((folder / weights.CONFIG).read_bytes())
    (snapshot / "open_clip_model.safetensors").write_bytes(
        (folder / "open_clip_model.safetensors").read_bytes()
    )
    embedder = load_embedder("hf-hub:some/model", cache_dir=tmp_path, precision="fp32")
    assert embedder.name.split("@")[1] == load_embedder(str(folder), precision="fp32").name.split("@")[1]
