"""What this machine can compute on, and with how many threads."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


def gpus() -> int:
    """How many CUDA devices torch sees."""
    import torch

    return int(torch.cuda.device_count())


@contextmanager
def torch_threads(threads: int) -> Iterator[None]:
    """So many torch threads inside, for the calling thread; 0 keeps the present number."""
    import torch

    before = torch.get_num_threads()
    try:
        if threads:
            torch.set_num_threads(threads)
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def opencv_threads(threads: int) -> Iterator[None]:
    """So many OpenCV threads inside, for the whole process.

    Several pictures at once fill the cores better than one picture on all of them.
    """
    import cv2

    before = cv2.getNumThreads()
    try:
        cv2.setNumThreads(threads)
        yield
    finally:
        cv2.setNumThreads(before)
