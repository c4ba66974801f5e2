"""labeling/guideline.md: what is filled, what is open, and what labelers are shown."""

from __future__ import annotations

from pathlib import Path

import pytest

from loop.base.errors import ConfigError
from loop.base.markdown import as_html
from loop.project.guideline import PLACE, TOPICS, ensure_guideline, parse, read_guideline, shown, template

CLASSES = ("person", "Hard hat")


def test_the_untouched_template_is_empty_and_asks_for_everything() -> None:
    found = parse(template(CLASSES), CLASSES)
    assert (found.lacking, found.undefined, shown(found)) == (TOPICS, CLASSES, "")
    assert all(found.questions[topic].endswith("?") for topic in TOPICS)


def test_what_is_written_counts_and_is_shown_without_the_notes() -> None:
    text = template(CLASSES).replace("### Hard hat\n", "### hard  hat\n\nAny helmet.\n")
    text = text.replace("## Shadows\n", "## SHADOWS\n\nNever.\n")
    found = parse(text, CLASSES)
    assert found.undefined == ("person",)
    assert "shadows" not in found.lacking
    assert len(found.lacking) == 5
    said = "# Labeling guideline\n\n## Classes\n\n### hard  hat\n\nAny helmet.\n\n## SHADOWS\n\nNever."
    assert shown(found) == said


def test_a_class_named_as_a_topic_is_another_section() -> None:
    found = parse("# G\n## Classes\n### shadows\nA figure of shade.\n## Shadows\n", ["shadows"])
    assert found.undefined == ()
    assert "shadows" in found.lacking


def test_a_heading_within_a_note_is_a_note() -> None:
    found = parse("## Shadows\n<!-- so:\n## Truncation\nsmall\n-->\n", [])
    assert found.lacking == TOPICS


def test_the_version_is_of_the_content() -> None:
    one, other = parse("## Shadows\nNo.\n", []), parse("## Shadows\nYes.\n", [])
    assert one.sha256 != other.sha256
    assert one.sha256 == parse("## Shadows\nNo.\n", []).sha256


def test_a_file_that_is_there_is_never_written_over(tmp_path: Path) -> None:
    path = ensure_guideline(tmp_path, CLASSES)
    assert path.read_text(encoding="utf-8") == template(CLASSES)
    path.write_text("ours", encoding="utf-8")
    ensure_guideline(tmp_path, CLASSES)
    assert read_guideline(tmp_path, CLASSES).text == "ours"


def test_a_file_that_is_no_text_is_refused_with_what_to_do(tmp_path: Path) -> None:
    ensure_guideline(tmp_path, CLASSES)
    (tmp_path / PLACE).write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match=r"guideline\.md: expected text in UTF-8, got .*; save it as UTF-8"):
        read_guideline(tmp_path, CLASSES)


def test_markdown_becomes_html_and_nothing_of_the_text_becomes_a_tag() -> None:
    text = "# A *b*\n\nOne <script>x</script>\n**two** `<i>`\n\n- [a](javascript:b)\n- 2 * 3 * 4\n\n1. first"
    assert as_html(text, top=2) == (
        "<h2>A <em>b</em></h2>\n"
        "<p>One &lt;script&gt;x&lt;/script&gt; <strong>two</strong> <code>&lt;i&gt;</code></p>\n"
        "<ul><li>[a](javascript:b)</li><li>2 * 3 * 4</li></ul>\n"
        "<ol><li>first</li></ol>"
    )
