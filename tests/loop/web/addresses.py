"""One address of every page, over which the tests of all pages go. A new page adds its own here."""

from __future__ import annotations

PAGES = (
    "/",
    "/frames",
    "/frames?spread=slice",
    "/frames/1",
    "/frames/40",
    "/coverage",
    "/coverage/shares",
    "/coverage/crossed",
    "/coverage/compared",
    "/map",
    "/queue",
    "/queue?tab=sending",
    "/rounds",
    "/rounds/1",
    "/rounds/start",
    "/bias",
    "/labels",
    "/labels/effort",
    "/labels/lots",
    "/labels/lots?plan=zero",
    "/labels/suspects",
    "/labels/suspects?state=decided&kind=class",
    "/labels/agreement",
    "/labels/guideline",
    "/collections",
    "/changes",
    "/rejects",
    "/sign-in",
)
"""They answer 200 for the projects of conftest."""
PICTURED = (
    "/collections",
    "/coverage",
    "/frames",
    "/frames?spread=slice",
    "/frames/1",
    "/frames/40",
    "/queue",
)
"""They show pictures."""
