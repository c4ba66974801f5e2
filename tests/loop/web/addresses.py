"""One address of every page, over which the tests of all pages go. A new page adds its own here."""

from __future__ import annotations

PAGES = (
    "/",
    "/frames",
    "/frames?spread=slice",
    "/frames/1",
    "/frames/40",
    "/queue",
    "/rounds",
    "/rounds/1",
    "/rounds/start",
    "/bias",
    "/changes",
    "/sign-in",
)
"""They answer 200 for the projects of conftest."""
FILES = ("/gaps",)
"""Files that a command or a job wrote; they bring a style of their own."""
PICTURED = ("/gaps", "/queue")
"""They show pictures."""
