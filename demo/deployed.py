"""The detector that a demo deploys: the one its plan names, the carried one, or one that is trained
for its world.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from connectors.ports import Progress
from demo.plan import Plan
from demo.train_detector import STAGES, described, is_trained, train
from demo.world import World

CARRIED = Path(__file__).parent / "assets" / "detector"
PASSES_PER_MINUTE = 3000  # pictures that one core of 2 GHz learns from in a minute, as measured


def deployed_weights(plan: Plan, folder: Path, say: Callable[[str], None], progress: Progress) -> Path:
    """The checkpoint. `folder` holds the rendered world; what is trained is kept there, below
    detector/.
    """
    if plan.weights:
        return plan.weights
    if fits(json.loads((CARRIED / "base.json").read_text(encoding="utf-8")), plan.world):
        return CARRIED / "base.pt"
    work = training_folder(folder, plan.world)
    if is_trained(work):
        say("  this world's own detector was trained before")
    else:
        say(
            f"  no carried detector was trained on such a world; training one, about {minutes(plan.world)}"
            " minutes, once; stopped, it goes on from its last epoch"
        )
    return train(plan.world, folder, work, progress=progress).weights


def fits(record: Mapping[str, Any], world: World) -> bool:
    """Whether the detector of this record was trained on such a world; on other scenes perhaps, of
    the same description.
    """
    wanted = described(world)
    wanted["training"]["world_seed"] = record["training"]["world_seed"]
    return all(record[key] == wanted[key] for key in ("classes", "scarce", "training"))


def training_folder(folder: Path, world: World) -> Path:
    """One folder for everything that the detector depends on."""
    text = json.dumps(described(world), sort_keys=True)
    return folder / "detector" / hashlib.sha256(text.encode()).hexdigest()[:12]


def minutes(world: World) -> int:
    passes = world.training.frames * sum(stage.epochs for stage in STAGES)
    return max(1, round(passes / PASSES_PER_MINUTE))
