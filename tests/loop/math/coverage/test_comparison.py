"""Production beside the training set, from arrays alone."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from loop.math.coverage.comparison import hours_of


@pytest.mark.parametrize(("name", "hour"), [("UTC", 23.5), ("Europe/Rome", 0.5), ("America/New_York", 18.5)])
def test_the_hour_of_capture_is_that_of_the_projects_time_zone(name: str, hour: float) -> None:
    captured = datetime(2026, 1, 5, 23, 30, tzinfo=UTC)
    np.testing.assert_array_equal(
        hours_of(np.array([captured.timestamp(), np.nan]), ZoneInfo(name)), [hour, np.nan]
    )
