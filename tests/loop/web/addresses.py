"""One address of every page, over which the tests of all pages go. A new page adds its own here."""

from __future__ import annotations

PAGES = ("/", "/models", "/changes", "/sign-in")
"""They answer 200 for the projects of conftest."""
FILES = ("/gaps",)
"""Files that a command or a job wrote; they bring a style of their own."""
