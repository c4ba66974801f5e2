"""What this machine can compute on."""

from __future__ import annotations


def gpus() -> int:
    """How many CUDA devices torch sees."""
    import torch

    return int(torch.cuda.device_count())
