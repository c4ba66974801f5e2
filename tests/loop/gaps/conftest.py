"""Both databases, for what reads and writes them at once."""

from tests.db.conftest import postgres, url

__all__ = ["postgres", "url"]
