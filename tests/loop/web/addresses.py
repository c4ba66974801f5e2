"""One address of every page, over which the tests of all pages go. A new page adds its own here."""

from __future__ import annotations

COVERAGE = ("/coverage", "/coverage/shares", "/coverage/crossed", "/coverage/compared", "/map")
PAGES = ("/", "/models", *COVERAGE, "/changes", "/sign-in")
"""They answer 200 for the projects of conftest."""
PICTURED = ("/coverage",)
"""Those of them that show pictures of frames."""
