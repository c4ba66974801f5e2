"""Times as people read them: in the project's zone, which stands beside them.

A camera burns the clock of its place into its pictures, and whoever looks at both compares them.
"""

from __future__ import annotations

from datetime import datetime

from connectors.times import zone

MINUTE = "%Y-%m-%d %H:%M %Z"
SECOND = "%Y-%m-%d %H:%M:%S %Z"
TIME_OF_DAY = "%H:%M:%S %Z"
DAY = "%Y-%m-%d"


def shown(moment: datetime, timezone: str, form: str = MINUTE) -> str:
    """2026-11-24 08:30 CET.

    moment: aware.
    timezone: the setting frames.timezone.
    Raises SourceError for a zone that is none.
    """
    return moment.astimezone(zone(timezone)).strftime(form)


def lasting(seconds: float) -> str:
    """A span in its largest unit: 40 s, 3 min, 5 h, 2 days. Of less than nothing: 0 s."""
    for unit, size, most in (("s", 1.0, 100.0), ("min", 60.0, 6000.0), ("h", 3600.0, 172800.0)):
        if seconds < most:
            return f"{max(0, round(seconds / size))} {unit}"
    return f"{round(seconds / 86400)} days"
