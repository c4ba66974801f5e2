"""What arrays are called in loop. `Array` (float32) and `Image` cross the boundary and stand in
connectors.ports.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Reals = NDArray[np.float64]
Bools = NDArray[np.bool_]
Bytes = NDArray[np.uint8]
