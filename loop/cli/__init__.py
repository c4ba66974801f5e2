"""The command line. Commands only parse, call a use case and print; they hold no logic of their
own.
"""

from __future__ import annotations

from loop.cli import (  # noqa: F401  (each registers its commands)
    backup,
    bench,
    changes,
    collections,
    data,
    demo,
    frames,
    labeling,
    labels,
    labels_agreement,
    labels_effort,
    labels_guideline,
    labels_lots,
    labels_suspects,
    mcp,
    metadata,
    project,
    rounds,
    serve,
    slices,
    tasks,
)
from loop.cli.app import app, main

__all__ = ["app", "main"]
