"""Fixtures that are dear and therefore shared by the whole run."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from connectors.label_studio.server import start, stop
from tests.studio import Studio


@pytest.fixture(scope="session")
def label_studio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Studio]:
    """One real Label Studio for all tests; each makes a project of its own."""
    folder = tmp_path_factory.mktemp("label studio")
    root = folder / "images"
    root.mkdir()
    server = start(folder / "data", root)
    yield Studio(server, root)
    stop(folder / "data")
