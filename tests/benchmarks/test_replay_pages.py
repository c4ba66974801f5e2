"""What `docs/` says of the replays is what the files say."""

from __future__ import annotations

from pathlib import Path

import pytest

from loop.replay.report import write_report

ROOT = Path(__file__).parents[2]
FOLDERS = sorted((ROOT / "benchmarks" / "results" / "replay").iterdir())


EVERY = pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)


@EVERY
def test_the_page_is_what_the_files_say(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("loop.replay.plots._plot", lambda *given: None)
    written = write_report(folder, tmp_path, folder.relative_to(ROOT).as_posix())
    assert (ROOT / "docs" / written.name).read_text(encoding="utf-8") == written.read_text(encoding="utf-8")


@pytest.mark.slow
@EVERY
def test_the_plots_of_the_page_can_be_drawn(folder: Path, tmp_path: Path) -> None:
    written = write_report(folder, tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {
        written.name, f"{written.stem}.png", f"{written.stem}-slices.png"
    }  # fmt: skip
