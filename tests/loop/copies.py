"""The same pictures on both sides of the split."""

from __future__ import annotations

import io
from pathlib import Path

from PIL import Image as Pil

from db.engine import read
from db.frames import frames
from db.states import Origin, Role
from loop.analysis.analyze import analyze
from loop.ingest.ingest import ingest
from tests.fakes import FakeParts, quiet
from tests.loop.judged import label_all


def save_copies(parts: FakeParts, incoming: Path) -> None:
    """A frame of each of six camera-days of evaluation comes again on days of the pool, saved anew,
    and is labeled.
    """
    with read(parts.project.engine) as session:
        rows = frames(session, origin=Origin.PRODUCTION)
    held = {row.group_key: row for row in rows if row.role == Role.EVALUATION}
    pool = sorted({row.group_key for row in rows if row.role == Role.POOL})
    for number, row in enumerate(list(held.values())[:6]):
        day = next((key for key in pool if key.startswith(row.camera)), None) or pool[number % len(pool)]
        camera, _, date = day.partition("|")
        path = incoming / camera / date / f"2359{number:02d}-9{number:02d}.jpg"
        buffer = io.BytesIO()
        Pil.open(parts.project.store / row.path).save(buffer, "JPEG", quality=85)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(buffer.getvalue())
    ingest(parts, quiet)
    analyze(parts, quiet)
    label_all(parts.project)
