"""The store of images, and long lists in pieces."""

from __future__ import annotations

import stat
from pathlib import Path

import numpy as np
import pytest

from connectors.images import content_hash, decode
from loop.base.files import chunked, load_image, store_image
from tests.fakes import picture


def test_an_image_lies_under_its_hash_and_comes_back(tmp_path: Path) -> None:
    data = picture(seed=9)
    sha256 = content_hash(data)
    path = store_image(tmp_path, sha256, ".jpg", data)
    assert path == f"frames/{sha256[:2]}/{sha256}.jpg"
    assert (tmp_path / path).read_bytes() == data
    np.testing.assert_array_equal(load_image(tmp_path, path), decode(data))


def test_production_images_are_for_their_owner_alone(tmp_path: Path) -> None:
    path = store_image(tmp_path, "a" * 64, ".jpg", picture())
    assert stat.S_IMODE((tmp_path / path).stat().st_mode) == 0o600


def test_a_torn_stored_file_is_written_again_and_a_whole_one_is_left(tmp_path: Path) -> None:
    data = picture(seed=9)
    path = tmp_path / store_image(tmp_path, "a" * 64, ".jpg", data)
    path.write_bytes(data[:10])
    store_image(tmp_path, "a" * 64, ".jpg", data)
    assert path.read_bytes() == data
    before = path.stat().st_ino
    store_image(tmp_path, "a" * 64, ".jpg", data)
    assert path.stat().st_ino == before


@pytest.mark.parametrize(("count", "sizes"), [(0, []), (5, [2, 2, 1]), (4, [2, 2])])
def test_pieces_of_a_list(count: int, sizes: list[int]) -> None:
    pieces = list(chunked(iter(range(count)), 2))
    assert [len(piece) for piece in pieces] == sizes
    assert [item for piece in pieces for item in piece] == list(range(count))
