"""What ultralytics itself says of settings, before anything is trained."""

from __future__ import annotations

import difflib
from collections.abc import Mapping

from connectors.yolo.environment import import_ultralytics


def refused_values(overrides: Mapping[str, object]) -> str:
    """Why ultralytics would not take settings, by its names; "" where it takes them."""
    import_ultralytics()
    from ultralytics.cfg import get_cfg
    from ultralytics.utils import DEFAULT_CFG_DICT

    for name in overrides:
        if name not in DEFAULT_CFG_DICT:
            nearest = difflib.get_close_matches(name, DEFAULT_CFG_DICT, 1, 0.3)
            return (
                f"training settings: expected names that ultralytics knows, got {name!r}; "
                f"the nearest is {nearest[0] if nearest else 'lr0'!r}"
            )
    try:
        get_cfg(overrides=dict(overrides))
    except (TypeError, ValueError, SyntaxError) as error:
        return f"training settings: {str(error).rstrip('.')}; mend the value and train again"
    return ""
