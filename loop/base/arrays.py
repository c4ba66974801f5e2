"""What arrays are called in loop. `Array` (float32) and `Image` cross the boundary and stand in
connectors.ports.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Reals = NDArray[np.float64]
Codes = NDArray[np.int32]
Bools = NDArray[np.bool_]
Bytes = NDArray[np.uint8]


def same(value: float, size: int) -> Reals:
    """(size,) of one value, read-only, in no memory."""
    return np.broadcast_to(np.float64(value), size)
