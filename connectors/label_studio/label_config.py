"""The labeling interface of a project: label config from a class list, tabs, and the comparison
with what is there now.
"""

from __future__ import annotations

import colorsys
import re
from collections.abc import Mapping, Sequence
from typing import Any
from xml.sax.saxutils import quoteattr

from connectors.errors import LabelConfigMismatch

CONTROL = "label"
IMAGE = "image"
SEEN = "seen"
"""The control that asks of the box that is picked how much of its object is seen."""
OCCLUDED, TRUNCATED = "occluded", "truncated"
ASKED = f"""
  <Choices name="{SEEN}" toName="{IMAGE}" perRegion="true" choice="multiple" showInline="true">
    <Choice value="{OCCLUDED}"/>
    <Choice value="{TRUNCATED}"/>
  </Choices>"""
OURS = re.compile(rf"""<RectangleLabels\b[^>]*\bname=(["']){CONTROL}\1.*?</RectangleLabels>""", re.DOTALL)
PURPOSES = (
    ("Evaluation", "evaluation"),
    ("Consensus", "consensus"),
    ("Suspects", "suspect"),
    ("Inspection", "inspection"),
)
"""Tabs of what one purpose asks for, and the purpose."""
TITLE_LENGTH = range(3, 51)
GAP = "\N{EM SPACE}"
HIDDEN = (
    *(
        "inner_id",
        "completed_at",
        "annotations_results",
        "annotations_ids",
        "predictions_results",
        "predictions_score",
    ),
    *(
        "file_upload",
        "storage_filename",
        "created_at",
        "updated_at",
        "updated_by",
        "avg_lead_time",
        "draft_exists",
    ),
    *("data.width", "data.height", "data.fieldloop_key"),
)
NOTHING_YET = [
    {"filter": "filter:tasks:total_annotations", "operator": "equal", "type": "Number", "value": 0},
    {"filter": "filter:tasks:cancelled_annotations", "operator": "equal", "type": "Number", "value": 0},
]
DONE = [{"filter": "filter:tasks:total_annotations", "operator": "greater", "type": "Number", "value": 0}]
SKIPPED = [
    {"filter": "filter:tasks:cancelled_annotations", "operator": "greater", "type": "Number", "value": 0}
]


def label_config(classes: Sequence[str], ask_occlusion: bool = True) -> str:
    """The XML of the labeling interface: one rectangle label per class, above the image why it was
    chosen and where it is from.

    ask_occlusion: labelers may mark the box that is picked as occluded or truncated.
    Raises LabelConfigMismatch for a class list that cannot be told apart on the screen.
    """
    _require_distinct(classes)
    colors = distinct_colors(len(classes))
    labels = "\n".join(
        f"    <Label value={_attribute(name)} background={quoteattr(color)}/>"
        for name, color in zip(classes, colors, strict=True)
    )
    return f"""<View>
  <Header value="$reason" size="4"/>
  <Header value="priority $priority{GAP}$site{GAP}$camera{GAP}$captured_at{GAP}$file{GAP}$slices" size="6"/>
  <RectangleLabels name="{CONTROL}" toName="{IMAGE}" canRotate="false" showInline="true">
{labels}
  </RectangleLabels>{ASKED if ask_occlusion else ""}
  <Image name="{IMAGE}" value="$image" zoom="true" zoomControl="true" rotateControl="false"/>
</View>"""


def with_question(xml: str, ask_occlusion: bool) -> str:
    """A label config, also one that a person edited, with or without the question for occlusion; all
    else stays as it is. A control of that name that is not as we made it stays too.
    """
    if not ask_occlusion:
        return xml.replace(ASKED, "")
    ours = OURS.search(xml)
    if ours is None or re.search(rf"""\bname=["']{SEEN}["']""", xml):
        return xml
    return xml[: ours.end()] + ASKED + xml[ours.end() :]


def distinct_colors(count: int) -> list[str]:
    """`count` different colors as #rrggbb: hues of one circle, brightness alternating so that
    neighbors differ.
    """
    return [_hex(index / max(count, 1), (0.95, 0.7, 0.5)[index % 3]) for index in range(count)]


def tabs() -> list[dict[str, object]]:
    """The tabs of the data manager, as its API takes them."""
    return [
        _tab("To label, most valuable first", NOTHING_YET),
        *(_tab(title, [*NOTHING_YET, _of_purpose(purpose)]) for title, purpose in PURPOSES),
        _tab("Labeled", DONE),
        _tab("Skipped", SKIPPED),
    ]


def tab_of_mark(title: str, name: str, mark: str) -> dict[str, object]:
    """A tab of the tasks whose data hold the mark under this name."""
    item: dict[str, object] = {
        "filter": f"filter:tasks:data.{name}",
        "operator": "contains",
        "type": "String",
        "value": mark,
    }
    return _tab(title, [item])


def mark_of_tab(data: Mapping[str, Any], name: str) -> str | None:
    """The mark of a tab that `tab_of_mark` made, whatever else was set in it; None for another's."""
    items = (data.get("filters") or {}).get("items") or ()
    of_name = (item for item in items if item.get("filter") == f"filter:tasks:data.{name}")
    marks = (str(item["value"]) for item in of_name if item.get("operator") == "contains")
    return next((mark for mark in marks if mark.startswith("#")), None)


def valid_title(title: str) -> str:
    """`title` in the 3 to 50 characters that Label Studio allows."""
    text = " ".join(title.split())
    text = text if len(text) >= TITLE_LENGTH.start else f"{text} fieldloop".strip()
    return text if len(text) < TITLE_LENGTH.stop else text[: TITLE_LENGTH.stop - 2].rstrip() + "…"


def configured_classes(parsed: Mapping[str, object]) -> tuple[str, ...] | None:
    """The rectangle labels of a parsed label config, or None when our control is not there any
    more.
    """
    control = parsed.get(CONTROL)
    if not isinstance(control, Mapping) or control.get("type") != "RectangleLabels":
        return None
    if IMAGE not in (control.get("to_name") or ()):
        return None
    return tuple(str(name) for name in control.get("labels") or ())


def compare(
    parsed: Mapping[str, object], classes: Sequence[str], where: str, names: Mapping[str, str] | None = None
) -> None:
    """Raises LabelConfigMismatch naming the classes that the config lacks.

    names: what labelers call a class, where it is not the model's name.

    Further labels are no mismatch: an answer that uses one is set aside on its own.
    """
    found = configured_classes(parsed)
    if found is None:
        raise LabelConfigMismatch(
            f'expected a RectangleLabels control "{CONTROL}" on the image "{IMAGE}" in the label config of'
            f" {where}, got "
            f"{', '.join(sorted(map(str, parsed))) or 'none'}; next: put it back under Settings > Labeling"
            " Interface"
        )
    called = [(names or {}).get(name, name) for name in classes]
    if called:
        _require_distinct(called)
    shown = dict(zip(called, classes, strict=True))
    missing = [name for name in shown if name not in found]
    if missing:
        extra = [name for name in found if name not in shown]
        raise LabelConfigMismatch(_mismatch(missing, extra, where, shown[missing[0]]))


def _mismatch(missing: list[str], extra: list[str], where: str, ours: str) -> str:
    """ours: the model's name of the first that is missing."""
    instead = f", and {_listed(extra)} instead" if extra else ""
    return (
        f"expected the detector's classes in the label config of {where}, got a config without"
        f" {_listed(missing)}{instead}; next: {_ways_out(missing, extra, ours)}"
    )


def _ways_out(missing: list[str], extra: list[str], ours: str) -> str:
    """A class may have been renamed: only a person knows."""
    back = f"rename or add {_listed(missing)} under Settings > Labeling Interface"
    if not extra:
        return back
    return (
        f"where labelers call {ours!r} {extra[0]!r}, set labels.class_names:"
        f" {{{ours}: {extra[0]}}} in fieldloop.yaml; otherwise {back}"
    )


def _listed(names: Sequence[str]) -> str:
    return ", ".join(repr(name) for name in names)


def _require_distinct(classes: Sequence[str]) -> None:
    shown = [name.strip() for name in classes]
    bad = sorted({name for name in shown if not name or shown.count(name) > 1})
    if bad or not classes:
        raise LabelConfigMismatch(
            f"expected at least one class and distinct, non-empty names, got {_listed(bad) or 'no class'} in"
            f" {list(classes)}; next: mend the names in the dataset's data.yaml, or those that"
            " labels.class_names gives"
        )


def _of_purpose(purpose: str) -> dict[str, object]:
    return {"filter": "filter:tasks:data.purpose", "operator": "equal", "type": "String", "value": purpose}


def _attribute(name: str) -> str:
    return quoteattr(name, {"\n": "&#10;", "\r": "&#13;", "\t": "&#9;"})


def _hex(hue: float, value: float) -> str:
    return "#" + "".join(f"{round(255 * part):02x}" for part in colorsys.hsv_to_rgb(hue, 0.85, value))


def _tab(title: str, items: list[dict[str, object]]) -> dict[str, object]:
    # Without the display type PostgreSQL orders the numbers as text.
    return {
        "title": title,
        "filters": {"conjunction": "and", "items": items},
        "ordering": ["-tasks:data.priority"],
        "columnsDisplayType": {"tasks:data.priority": "Number"},
        "hiddenColumns": {"explore": [f"tasks:{name}" for name in HIDDEN], "labeling": []},
    }
