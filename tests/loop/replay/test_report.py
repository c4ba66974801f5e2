"""The report: regenerated from files alone, with every sampler and seed, and what is not finished
said to be.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from demo.deployed import CARRIED
from loop.base.errors import ConfigError
from loop.cli import app
from loop.replay import workers
from loop.replay.compared import areas_of
from loop.replay.curves import curves_of
from loop.replay.report import write_report
from loop.replay.results import (
    About,
    Result,
    Results,
    Score,
    labeled_digest,
    read_results,
    result_folders,
)
from loop.replay.workers import Job

SAMPLERS = ("random", "random2", "hybrid")
SEEDS = (0, 1, 2, 3)
GAIN = {"random": 4.0, "random2": 4.0, "hybrid": 8.0}
TOLD = {
    "budget": 10,
    "epochs": 2,
    "passes": 40,
    "imgsz": 64,
    "judge": "test",
    "seconds_per_frame": 10.0,
    "seconds_per_box": 7.0,
    "rare_share": 0.1,
    "weight_by": "",
}


def about(**given: object) -> About:
    parts = {"pool": 60, "test": 20}
    shares = {"light=day": 0.9, "light=night": 0.1}
    return About(
        "toy", "d1", "s1", TOLD, "base", "clip", ("red",), parts, parts, shares, ("light=night",), {"red": 0}
    )


def result(sampler: str, seed: int, number: int) -> Result:
    """AP rises by `GAIN` a round; a seed lifts all samplers alike; the second draw of random
    differs by a little.
    """
    height = (
        20.0 + seed + GAIN.get(sampler, 0.0) * number + (0.1 * (-1) ** seed if sampler == "random2" else 0)
    )
    score = Score(height / 100, height / 80)
    slices = {"light=day": score, "light=night": Score(height / 200, height / 160)}
    shown = {"light=day": 9, "light=night": 1} if number else {}
    chosen = tuple(f"{sampler[:3]}{seed}{number}{i}" for i in range(10 if number else 0))
    return Result(
        "toy",
        "d1",
        "s1",
        sampler,
        seed,
        number,
        chosen,
        10 * number,
        30 * number,
        310.0 * number,
        score,
        slices["light=night"],
        slices,
        {"red": score},
        shown,
        {},
        0.0,
        {"train": 2.0},
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    kept = Results(tmp_path / "results" / "toy")
    kept.claim(about())
    for seed in SEEDS:
        kept.put(result("start", seed, 0))
        for sampler in SAMPLERS:
            for number in (1, 2, 3):
                kept.put(result(sampler, seed, number))
    return kept.folder


@pytest.fixture
def page(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], str]:
    """Writes the report of `folder` as it is when called: its text. Without plots, which take most
    of the time.
    """
    monkeypatch.setattr("loop.replay.plots._plot", lambda *given: None)
    return lambda: write_report(folder, tmp_path / "docs").read_text()


def test_what_is_written_is_read_again(folder: Path) -> None:
    found = {each.key: each for each in read_results(folder)}
    assert found["hybrid", 2, 3] == result("hybrid", 2, 3)
    assert len(found) == 4 + 3 * 4 * 3


@pytest.mark.slow
def test_the_same_files_give_the_same_report(folder: Path, tmp_path: Path) -> None:
    for name in ("once", "again"):
        write_report(folder, tmp_path / name, "results/toy")
    files = sorted(path.name for path in (tmp_path / "once").iterdir())
    assert files == ["replay-toy-slices.png", "replay-toy.md", "replay-toy.png"]
    for name in files:
        assert (tmp_path / "once" / name).read_bytes() == (tmp_path / "again" / name).read_bytes()


def test_the_figures_are_the_ones_of_the_files(page: Callable[[], str]) -> None:
    text = page()
    row = next(line for line in text.splitlines() if line.startswith("| hybrid | 33.50"))
    assert "+6.00 (+6.00 to +6.00) | 0.125 | 0.125 | 0 |" in row
    assert row.endswith("| 1.00 |")
    savings = next(line for line in text.splitlines() if line.startswith("| hybrid | overall | ~"))
    cells = ["~0.50 (0.50 to 0.50)", "0.50 (0.50 to 0.50)"]
    assert savings == "| hybrid | overall | " + " | ".join(cells * 3) + " |"


def test_what_is_read_off_before_anything_was_measured_says_so(folder: Path, page: Callable[[], str]) -> None:
    """Six times as steep as random: what random reaches after three rounds, after half a round."""
    for file in folder.glob("hybrid-*.json"):
        file.unlink()
    kept = Results(folder)
    for seed in SEEDS:
        for number in (1, 2, 3):
            steep = result("hybrid", seed, number)
            ap = (20.0 + seed + 24.0 * number) / 100
            kept.put(replace(steep, overall=Score(ap, ap)))
    text = page()
    assert "| ~0.17 (0.17 to 0.17) of 30 frames; measured: at most 0.33 | yes |" in text


def test_notes_stand_below_the_aims(folder: Path, page: Callable[[], str]) -> None:
    plain = page()
    (folder / "notes.md").write_text("k-center is as good here, for what is rare lies far out.\n")
    told = page()
    assert (
        told.index("## In short")
        < told.index("## Notes\n\nk-center is as good here")
        < told.index("## Against")
    )
    assert "## Notes" not in plain


def test_random_against_itself_shows_nothing(page: Callable[[], str]) -> None:
    text = page()
    row = next(line for line in text.splitlines() if line.startswith("| random2 | 27.50"))
    assert re.search(r"\| \+0\.00 \(-0\.1\d to \+0\.1\d\) \| 1\.000 \|  \| 2 \|", row)
    assert row.endswith("|  |")
    assert "adjusted for 1 comparisons (Holm)" in text
    assert "random2 is another draw of random: a control, which is not ranked and not adjusted for." in text
    assert "| random2 | -0.11 yes |" in text


def test_what_was_aimed_at_comes_first(page: Callable[[], str]) -> None:
    """Twice as steep as random: half of its labels, which is below .7 and just .5."""
    text = page()
    short = text[text.index("## In short: hybrid") : text.index("## Against random")]
    rows = [line.split(" | ") for line in short.splitlines() if line.startswith("| ")][1:]
    assert [row[-1] for row in rows] == ["yes |"] * 5
    assert [row[1] for row in rows] == [
        "0.50 (0.50 to 0.50) of 30 frames",
        "0.50 (0.50 to 0.50) of 30 frames",
        "1.00",
        "1.00",
        "+6.00, at least +6.00",
    ]


def lifted(folder: Path, sampler: str, by: Callable[[int, int], float]) -> None:
    """Other AP for a sampler: points to add, by seed and round."""
    kept = Results(folder)
    for each in read_results(folder):
        if each.sampler == sampler:
            score = Score(each.overall.ap + by(each.seed, each.round) / 100, each.overall.ap50)  # type: ignore[operator]
            kept.put(replace(each, overall=score, slices=each.slices | {"light=day": score}))


def in_short(text: str) -> list[str]:
    return text[text.index("## In short: hybrid") : text.index("## Against random")].splitlines()


def test_an_aim_that_is_met_by_the_mean_alone_is_not_shown(folder: Path, page: Callable[[], str]) -> None:
    """In two of four seeds the gain over random is gone: .7 lies within the interval."""
    lifted(folder, "hybrid", lambda seed, number: -4.0 * number if seed < 2 else 0.0)
    row = next(line for line in in_short(page()) if line.startswith("| overall: at most"))
    assert re.search(
        r"\| 0\.6\d \(0\.50 to 1\.00\) of 30 frames \| \*\*not shown\*\*: met, but the interval", row
    )


def test_where_random_gains_nothing_saving_its_labels_says_nothing(
    folder: Path, page: Callable[[], str]
) -> None:
    lifted(folder, "random", lambda seed, number: -4.0 * number + (0.1 if seed % 2 else -0.1))
    row = next(line for line in in_short(page()) if line.startswith("| overall: at most"))
    assert row.endswith("| **says nothing**: random itself gains +0.00 (-0.18 to +0.18) |")


def test_a_slice_that_loses_to_random_is_named(folder: Path, page: Callable[[], str]) -> None:
    assert not any("Loses" in line for line in in_short(page()))
    lifted(folder, "hybrid", lambda seed, number: -10.0 * number)
    short = in_short(page())
    assert "**Loses to random on light=day**: -9.00 (-9.00 to -9.00) points of AUBC." in short
    assert not any("light=night**" in line for line in short)


def test_slices_and_classes_are_compared_one_by_one(page: Callable[[], str]) -> None:
    text = page()
    assert "| light=night | +3.00 (+3.00 to +3.00) | +0.00 (" in text
    assert "| red | +6.00 (+6.00 to +6.00) | +0.00 (" in text


def test_seeds_that_chose_alike_are_said_to(folder: Path, page: Callable[[], str]) -> None:
    kept = Results(folder)
    for each in read_results(folder):
        if each.sampler == "hybrid":
            kept.put(replace(each, chosen=tuple(f"frame{each.round}{i}" for i in range(10))))
    text = page()
    assert "| hybrid | 1.00 | 1.00 | 1.00 |" in text
    assert "| random | 0.00 | 0.00 | 0.00 |" in text


def test_a_result_that_does_not_follow_is_refused(folder: Path) -> None:
    kept = Results(folder)
    kept.put(replace(result("hybrid", 1, 2), chosen=result("hybrid", 1, 1).chosen))
    with pytest.raises(ConfigError, match=r"hybrid seed 1 round 2: .* \(it labels hyb110 again\); remove it"):
        curves_of(read_results(folder))
    names = result("hybrid", 1, 1).chosen
    kept.put(replace(result("hybrid", 1, 2), before=labeled_digest(names)))
    assert curves_of(read_results(folder)).seeds == SEEDS
    kept.put(replace(result("hybrid", 1, 2), before=labeled_digest(names[::-1])))
    with pytest.raises(ConfigError, match=r"round 2: .* \(others had been labeled before it\); remove it"):
        curves_of(read_results(folder))


def test_versions_of_the_code_are_counted(folder: Path, page: Callable[[], str]) -> None:
    Results(folder).put(replace(result("hybrid", 1, 2), code="abc"))
    text = page()
    assert "Results by version of the code: not recorded 35, `abc` 1." in text


def test_every_sampler_and_seed_stands_there(page: Callable[[], str]) -> None:
    text = page()
    every = text[text.index("## Every sampler and seed") : text.index("## Computing")]
    rows = [line for line in every.splitlines() if re.match(r"\| (random2?|hybrid) \| \d", line)]
    assert len(rows) == len(SAMPLERS) * len(SEEDS)
    assert all("nan" not in row for row in rows)


def test_what_is_not_finished_is_left_out_of_all_and_said(folder: Path, page: Callable[[], str]) -> None:
    (folder / "hybrid-seed3-round2.json").unlink()
    curves = curves_of(read_results(folder))
    assert curves.seeds == (0, 1, 2)
    assert "**Not finished, left out of every table**: hybrid seed 3." in page()


def test_the_area_is_on_the_scale_that_all_share(folder: Path) -> None:
    curves = curves_of(read_results(folder))
    assert areas_of(curves, "random", "overall").tolist() == pytest.approx([26, 27, 28, 29])


@pytest.mark.parametrize(
    ("gone", "said"),
    [
        (
            "random-*-round1.json",
            r"expected at least one seed with all rounds of random, got none of 4 seeds",
        ),
        ("random-*.json", r"expected results of random, .* got hybrid, random2; run `fieldloop bench replay"),
    ],
)
def test_without_a_whole_seed_of_random_there_is_no_report(
    folder: Path, tmp_path: Path, gone: str, said: str
) -> None:
    for path in folder.glob(gone):
        path.unlink()
    with pytest.raises(ValueError, match=said):
        write_report(folder, tmp_path / "docs")


def test_a_sampler_just_begun_takes_no_other_off_the_page(folder: Path, page: Callable[[], str]) -> None:
    kept = Results(folder)
    kept.put(result("herding", 0, 1))
    for number in (1, 2, 3, 4):
        kept.put(result("entropy", 1, number))
    curves = curves_of(read_results(folder))
    assert (curves.samplers, curves.seeds, curves.rounds) == (("random", "hybrid", "random2"), SEEDS, 3)
    text = page()
    assert "left out of every table**: entropy seed 0, entropy seed 2, entropy seed 3, herding seed 0" in text
    assert "**Finished, but left out so that all rows have the same seeds**: entropy seed 1." in text


def test_data_without_slices_has_its_page(tmp_path: Path) -> None:
    kept = Results(tmp_path / "toy")
    kept.claim(replace(about(), shares={}, rare=()))
    for seed in (0, 1, 2):
        kept.put(bare("start", seed, 0))
        for sampler in SAMPLERS:
            for number in (1, 2):
                kept.put(bare(sampler, seed, number))
    text = write_report(kept.folder, tmp_path / "docs").read_text()
    assert sorted(path.name for path in (tmp_path / "docs").iterdir()) == ["replay-toy.md", "replay-toy.png"]
    assert "slices.png" not in text
    assert "- No slice is rare." in text
    assert "| hybrid | overall | " + " | ".join(["~0.50", "0.50"] * 3) + " |" in text
    assert "| 0.50 of 20 frames | **not shown**: met, but the seeds are too few for an interval |" in text


def bare(sampler: str, seed: int, number: int) -> Result:
    return replace(result(sampler, seed, number), slices={}, shown={}, rare=Score(None, None))


def test_results_of_another_form_are_refused(folder: Path) -> None:
    path = folder / "random-seed0-round1.json"
    path.write_text(path.read_text().replace('"settings": "s1"', '"settings": "s2"'))
    with pytest.raises(
        ConfigError,
        match="expected results of one data set and one form, got random seed 0 round 1 of another",
    ):
        read_results(folder)


def test_a_damaged_file_is_named(folder: Path) -> None:
    (folder / "random-seed0-round1.json").write_text('{"data": ')
    with pytest.raises(
        ConfigError, match=r"random-seed0-round1.json: expected JSON, got .*; remove it and run again"
    ):
        read_results(folder)
    (folder / "random-seed0-round1.json").write_text("{}")
    with pytest.raises(ConfigError, match=r"expected a result of a replay, got KeyError\('overall'\)"):
        read_results(folder)


@pytest.mark.parametrize("named", [True, False])
def test_a_dataset_alone_is_enough(named: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a base checkpoint the carried one is taken, and said to be."""
    asked: list[Job] = []
    monkeypatch.setattr(workers, "replay", lambda job, say, progress: asked.append(job))
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "replay.yaml").write_text("weights: best.pt\n" if named else "rounds: 2\n")
    ended = CliRunner().invoke(app, ["bench", "replay", "--dataset", str(tmp_path / "mine" / "data.yaml")])
    assert ended.exit_code == 0, ended.output
    weights = Path(asked[0].settings.weights)
    assert weights == (tmp_path / "mine" / "best.pt" if named else CARRIED / "base.pt")
    assert weights.is_file() == (not named)
    assert ("no base checkpoint is named" in ended.stderr) == (not named)


def test_the_command_reports_every_folder(folder: Path, tmp_path: Path) -> None:
    done = CliRunner().invoke(
        app, ["bench", "report", "--results", str(folder.parent), "--docs", str(tmp_path / "docs")]
    )
    assert done.exit_code == 0, done.output
    assert done.output.strip() == str(tmp_path / "docs" / "replay-toy.md")
    assert result_folders(folder) == [folder]
    with pytest.raises(
        ConfigError, match=r"expected results of a replay in .*, got none; run `fieldloop bench replay` first"
    ):
        result_folders(tmp_path / "docs")
