from __future__ import annotations

import cv2
import pytest

from connectors.devices import opencv_threads


def test_opencv_has_its_threads_back_whatever_happens() -> None:
    before = cv2.getNumThreads()

    def fails() -> None:
        with opencv_threads(before + 1):
            assert cv2.getNumThreads() == before + 1
            raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        fails()
    assert cv2.getNumThreads() == before
