"""The rounds of a replay with a toy detector: shared starts, equal passes, resumption, and what is
kept.
"""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from loop.base.errors import ConfigError
from loop.replay.bench import Bench, Folders, wanted
from loop.replay.choosing import SAMPLERS, searcher
from loop.replay.data import load_data
from loop.replay.results import START, read_results
from loop.replay.scoring import mixture_weights
from loop.replay.settings import read_settings
from loop.replay.split import HELD_OUT, LABELED, POOL, TEST, TUNING
from loop.replay.training import filled, replayed, start_rows
from tests.loop.replay.toy import PER_DAY, ToyTrainer, make_dataset, toy_tools

TWO = ("random", "hybrid")


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_dataset(tmp_path_factory.mktemp("toy"))


@pytest.fixture(scope="module", autouse=True)
def unsynced() -> Iterator[None]:
    """No test here takes the disk away, and syncing thousands of small files takes longest."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("connectors.files._sync", lambda path: None)
        yield


def bench(root: Path, out: Path, trainer: ToyTrainer, **given: object) -> Bench:
    folders = Folders(out / "results", out / "work")
    return Bench(root, read_settings(root, None, given), folders, toy_tools(trainer), "toy")


def ran(made: Bench, samplers: tuple[str, ...] = TWO, seeds: tuple[int, ...] = (0, 1)) -> list[str]:
    said: list[str] = []
    for seed in seeds:
        made.run(seed, samplers, said.append)
    return said


def files(out: Path) -> dict[str, bytes]:
    """What is kept, without how long it took."""
    found = {}
    for path in sorted((out / "results").glob("*.json")):
        tree = json.loads(path.read_text())
        tree.pop("spent", None)
        found[path.name] = json.dumps(tree).encode()
    return found


def test_every_key_has_its_file_and_the_start_is_trained_once_a_seed(toy: Path, tmp_path: Path) -> None:
    trainer = ToyTrainer()
    said = ran(bench(toy, tmp_path, trainer))
    keys = wanted(TWO, (0, 1), 2)
    assert {each.key for each in read_results(tmp_path / "results")} == set(keys)
    assert len(trainer.specs) == len(keys) == len(said) == 10
    assert [spec.run_dir.parent.name.split("-seed")[0] for spec in trainer.specs].count(START) == 2


def test_every_training_has_as_many_passes_and_the_seed_of_all_others(toy: Path, tmp_path: Path) -> None:
    trainer = ToyTrainer()
    made = bench(toy, tmp_path, trainer)
    ran(made)
    assert set(trainer.passes) == {made.settings.passes}
    assert {spec.seed for spec in trainer.specs} == {0, 1}
    assert len({(spec.weights, spec.epochs, spec.imgsz, str(spec.overrides)) for spec in trainer.specs}) == 1


def test_samplers_begin_alike_and_never_choose_a_frame_twice_or_one_that_judges(
    toy: Path, tmp_path: Path
) -> None:
    made = bench(toy, tmp_path, ToyTrainer())
    ran(made, ("random", "random2", "stratified", "entropy", "k_center", "hybrid"), (3,))
    pool = {made.data.frames[row].name for row in made.data.rows(POOL)}
    found = {each.key: each for each in read_results(tmp_path / "results")}
    start = found[START, 3, 0].chosen
    assert len(start) == len(start_rows(made.data, made.settings, 3)) == 6
    for sampler in ("random", "random2", "stratified", "entropy", "k_center", "hybrid"):
        chosen = [*start, *found[sampler, 3, 1].chosen, *found[sampler, 3, 2].chosen]
        assert len(set(chosen)) == len(chosen) == 18
        assert set(chosen) <= pool
    assert found["random", 3, 1].chosen != found["random2", 3, 1].chosen


def chosen_first(root: Path, out: Path) -> dict[str, tuple[str, ...]]:
    """By sampler, what each of all chooses in the first round."""
    made = bench(root, out, ToyTrainer(), rounds=1)
    ran(made, SAMPLERS, (0,))
    return {each.sampler: each.chosen for each in read_results(out / "results") if each.round == 1}


@pytest.fixture(scope="module")
def first_choices(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, tuple[str, ...]]]:
    """Of a dataset, and of the same with other labels: every box of the pool and of what judges is
    another's, and there are more of them.
    """
    found = []
    for told in (False, True):
        root = make_dataset(tmp_path_factory.mktemp("told"), labeled=8)
        for number in range(20 * PER_DAY if told else 0):
            label = root / "labels" / f"{number:04d}.txt"
            which, place = label.read_text().split(maxsplit=1)
            label.write_text(f"{1 - int(which)} {place}{which} 0.2 0.2 0.1 0.1\n")
        found.append(chosen_first(root, root / "out"))
    return found


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_a_choice_is_blind_to_labels_that_nobody_gave_yet(
    first_choices: list[dict[str, tuple[str, ...]]], sampler: str
) -> None:
    as_it_is, other_labels = (each[sampler] for each in first_choices)
    assert as_it_is == other_labels
    assert len(as_it_is) == 6


def test_a_round_that_does_not_follow_is_not_gone_on_from(toy: Path, tmp_path: Path) -> None:
    ran(bench(toy, tmp_path, ToyTrainer()), ("random",), (0,))
    file = tmp_path / "results" / "random-seed0-round1.json"
    made, trainer = json.loads(file.read_text()), ToyTrainer()
    later = json.loads((tmp_path / "results" / "random-seed0-round2.json").read_text())
    file.write_text(json.dumps(made | {"chosen": later["chosen"]}))
    with pytest.raises(
        ConfigError, match=r"random seed 0 round 2: expected a result that follows .* run again"
    ):
        ran(bench(toy, tmp_path, trainer), ("random",), (0,))
    file.write_text(json.dumps(made | {"chosen": [*made["chosen"][:-1], "stranger"]}))
    with pytest.raises(
        ConfigError, match=r"round1.json: expected frames of the pool, got stranger; remove it"
    ):
        ran(bench(toy, tmp_path, trainer), ("random",), (0,))
    assert not trainer.specs


def test_what_is_counted_is_what_was_labeled(toy: Path, tmp_path: Path) -> None:
    made = bench(toy, tmp_path, ToyTrainer(), slices=["camera"], rare_share=0.32)
    ran(made, ("random",), (0,))
    last = made.results.get(("random", 0, 2))
    assert last is not None
    labeled = len(start_rows(made.data, made.settings, 0)) + 2 * 6
    assert (last.frames, last.boxes) == (labeled, labeled)
    assert last.seconds == labeled * (10 + 7)
    assert sum(last.shown.values()) == 6
    assert last.overall.ap == pytest.approx(np.mean([score.ap for score in last.classes.values()]), abs=1e-6)
    rare = [score.ap for name, score in last.slices.items() if name in made.about.rare]
    assert last.rare.ap == pytest.approx(np.mean(rare), abs=1e-6)
    assert rare


def told_anew(root: Path, change: Callable[[int, dict[str, str]], None]) -> Path:
    """The dataset with another frames.csv. change: of each row, by its number."""
    with (root / "frames.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    for number, row in enumerate(rows):
        change(number, row)
    with (root / "frames.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return root


def test_what_judges_is_weighted_as_the_pool_is_composed(toy: Path) -> None:
    settings = read_settings(toy, None, {"weight_by": "light", "test_share": 0.4})
    data = load_data(toy, settings)
    rows = data.rows(TEST)
    weights = mixture_weights(data, settings, rows)
    shown = [name for name, mask in data.slices.items() if mask[rows].any()]
    assert len(shown) > 1
    for name in shown:
        assert weights[data.slices[name][rows]].sum() / len(rows) == pytest.approx(data.share(name))


def test_a_slice_that_is_named_after_a_class_is_of_that_class(tmp_path: Path) -> None:
    """Nobody finds the second green thing of a picture, so green scores lower than red."""
    root = told_anew(make_dataset(tmp_path / "data"), lambda number, row: row.update(light="red"))
    for label in (root / "labels").iterdir():
        label.write_text(f"{label.read_text()}1 0.9 0.9 0.1 0.1\n")
    made = bench(root, tmp_path, ToyTrainer())
    ran(made, ("random",), (0,))
    last = made.results.get(("random", 0, 2))
    assert last is not None
    assert last.slices["light=red"] == last.classes["red"]
    assert last.overall.ap is not None
    assert last.slices["light=red"].ap == 1.0 > last.overall.ap


def test_settings_are_judged_by_frames_that_do_not_test(toy: Path, tmp_path: Path) -> None:
    made = bench(toy, tmp_path, ToyTrainer(), judge="tuning")
    ran(made, TWO, (0,))
    other = bench(toy, tmp_path / "other", ToyTrainer())
    ran(other, ("random",), (0,))
    assert set(made.data.rows(TUNING)).isdisjoint(made.data.rows(TEST))
    one, two = made.results.get(("random", 0, 2)), other.results.get(("random", 0, 2))
    assert one is not None
    assert two is not None
    assert one.chosen == two.chosen
    assert (one.overall, one.slices) != (two.overall, two.slices)
    assert made.about.settings != other.about.settings


def test_frames_that_were_held_out_teach_trust_and_never_train(tmp_path: Path) -> None:
    """Their expected loss is the detector's on rows behind those of production."""

    def some_held(number: int, row: dict[str, str]) -> None:
        if row["part"] == "labeled" and number % 2:
            row["part"] = "kept"

    root = told_anew(make_dataset(tmp_path / "data", labeled=120), some_held)
    made = bench(root, tmp_path, ToyTrainer(), held_out=["part=kept"])
    ran(made, ("entropy", "hybrid"), (0,))
    held = {made.data.frames[row].name for row in made.data.rows(HELD_OUT)}
    assert len(held) == 60
    trained = {path.stem[:12] for path in (tmp_path / "work").glob("frames-*/images/*")}
    assert trained
    assert held.isdisjoint(trained)
    last = made.results.get(("hybrid", 0, 2))
    assert last is not None
    assert len(set(last.chosen)) == 6


def test_a_run_that_is_over_trains_nothing(toy: Path, tmp_path: Path) -> None:
    ran(bench(toy, tmp_path, ToyTrainer()))
    before, trainer = files(tmp_path), ToyTrainer()
    assert ran(bench(toy, tmp_path, trainer)) == []
    assert not trainer.specs
    assert files(tmp_path) == before


@pytest.fixture(scope="module")
def whole(toy: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """What a run keeps that nothing stops."""
    out = tmp_path_factory.mktemp("whole")
    ran(bench(toy, out, ToyTrainer()), TWO, (0,))
    return files(out)


@pytest.mark.parametrize("stop", range(6))
def test_a_run_stopped_anywhere_ends_as_if_it_had_not_been(
    toy: Path, whole: dict[str, bytes], tmp_path: Path, stop: int
) -> None:
    with pytest.raises(KeyboardInterrupt):
        ran(bench(toy, tmp_path / "stopped", ToyTrainer(stop=stop)), (*TWO, "entropy", "random2"), (0,))
    ran(bench(toy, tmp_path / "stopped", ToyTrainer()), TWO, (0,))
    assert whole.items() <= files(tmp_path / "stopped").items()


def test_another_machine_needs_the_files_alone(toy: Path, tmp_path: Path) -> None:
    """What a detector found is not among them: the model of the round before is trained again,
    once.
    """
    ran(bench(toy, tmp_path, ToyTrainer()), TWO, (0,))
    whole = files(tmp_path)
    (tmp_path / "results" / "hybrid-seed0-round2.json").unlink()
    shutil.rmtree(tmp_path / "work")
    trainer = ToyTrainer()
    ran(bench(toy, tmp_path, trainer), TWO, (0,))
    assert files(tmp_path) == whole
    assert [spec.run_dir.parent.name.rsplit("-", 1)[0] for spec in trainer.specs] == [
        "hybrid-seed0-round1",
        "hybrid-seed0-round2",
    ]


def test_what_looks_at_no_detections_needs_none(toy: Path, tmp_path: Path) -> None:
    ran(bench(toy, tmp_path, ToyTrainer()), ("random", "k_center", "stratified"), (0,))
    assert not (tmp_path / "work" / "detections").exists()


def test_trained_models_are_not_kept(toy: Path, tmp_path: Path) -> None:
    ran(bench(toy, tmp_path, ToyTrainer()), TWO, (0,))
    assert not list((tmp_path / "work").rglob("*.pt"))


def test_results_of_another_form_are_not_mixed(toy: Path, tmp_path: Path) -> None:
    ran(bench(toy, tmp_path, ToyTrainer()), TWO, (0,))
    with pytest.raises(
        ConfigError,
        match=r"expected results of the same settings, weights and embedder .* give another folder",
    ):
        bench(toy, tmp_path, ToyTrainer(), budget=5)
    with pytest.raises(ConfigError, match=r"expected results of the same data"):
        bench(toy, tmp_path, ToyTrainer(), split_seed=1)


def test_a_labeled_set_is_replayed_alike_for_all_and_nothing_is_drawn_first(tmp_path: Path) -> None:
    made = bench(make_dataset(tmp_path / "data", labeled=10), tmp_path, ToyTrainer())
    ran(made, TWO, (0,))
    start = made.results.get((START, 0, 0))
    assert start is not None
    assert (start.chosen, start.frames) == ((), 0)
    old = replayed(made.data, 4, 0)
    assert len(set(old)) == 4
    assert set(old) <= set(made.data.rows(LABELED).tolist())
    assert replayed(made.data, 4, 1) != old


def test_half_of_an_epoch_is_replayed_or_less_where_more_is_chosen(tmp_path: Path) -> None:
    root = make_dataset(tmp_path / "data", labeled=30)
    assert bench(root, tmp_path / "a", ToyTrainer(), replay=20).settings.passes == 40
    assert bench(root, tmp_path / "b", ToyTrainer(), replay=8).settings.passes == 8 + 12


def test_what_is_rare_and_repeated_has_room_in_an_epoch(tmp_path: Path) -> None:
    root = make_dataset(tmp_path / "data", days=40, labeled=120)
    for number in range(160, 280):
        label = root / "labels" / f"{number:04d}.txt"
        label.write_text(f"{int(number == 279)} {label.read_text().split(maxsplit=1)[1]}")
    made = bench(root, tmp_path / "a", ToyTrainer(), replay=40, budget=20, rounds=3)
    assert len(replayed(made.data, 40, 0)) == 41
    assert made.settings.passes == 41 + 60


def test_labels_that_were_corrected_are_trained_on(tmp_path: Path) -> None:
    root = make_dataset(tmp_path / "data")
    ran(bench(root, tmp_path, ToyTrainer()), ("random",), (0,))
    for label in (root / "labels").iterdir():
        label.write_text(f"1 {label.read_text().split(maxsplit=1)[1]}")
    shutil.rmtree(tmp_path / "results")
    ran(bench(root, tmp_path, ToyTrainer()), ("random",), (0,))
    folders = sorted((tmp_path / "work").glob("frames-*"))
    shown = [{text.read_text()[0] for text in (each / "labels").iterdir()} for each in folders]
    assert sorted(map(sorted, shown)) == [["0", "1"], ["1"]]


def test_a_file_of_other_data_is_not_gone_on_from(toy: Path, tmp_path: Path) -> None:
    made = bench(toy, tmp_path, ToyTrainer())
    ran(made, ("random",), (0,))
    file = tmp_path / "results" / "random-seed0-round1.json"
    file.write_text(file.read_text().replace(made.about.digest, "0" * 16))
    with pytest.raises(
        ConfigError, match=r"random-seed0-round1.json: expected a result of data .*; take it out"
    ):
        ran(bench(toy, tmp_path, ToyTrainer()), ("random",), (0,))


def test_an_epoch_is_filled_evenly() -> None:
    assert filled([1, 2], [7, 8, 9], 9) == [1, 2, 7, 8, 9, 7, 8, 9, 7]
    assert filled([1, 2], [], 5) == [1, 2, 1, 2, 1]


def test_more_frames_than_passes_are_refused_before_hours_are_spent(toy: Path, tmp_path: Path) -> None:
    with pytest.raises(
        ValueError, match=r"expected 1 to 10 frames for the 10 passes of an epoch, got 0 replayed and 18 new"
    ):
        bench(toy, tmp_path, ToyTrainer(), passes=10)


def test_an_unknown_sampler_is_named(toy: Path, tmp_path: Path) -> None:
    with pytest.raises(
        ConfigError, match=r"expected one of .*, got 'hybird'; the nearest is 'hybrid'; random2"
    ):
        ran(bench(toy, tmp_path, ToyTrainer()), ("hybird",), (0,))


def test_without_weights_nothing_begins(toy: Path, tmp_path: Path) -> None:
    with pytest.raises(
        ConfigError, match=r"weights: expected the checkpoint .*, got 'nothing'; give --weights"
    ):
        bench(toy, tmp_path, ToyTrainer(), weights="")


@pytest.fixture(scope="module")
def replayed_by_all(toy: Path, tmp_path_factory: pytest.TempPathFactory) -> Bench:
    made = bench(toy, tmp_path_factory.mktemp("all"), ToyTrainer())
    ran(made, SAMPLERS, (0,))
    return made


@pytest.mark.parametrize("sampler", [name for name in SAMPLERS if name not in TWO])
def test_every_sampler_can_be_replayed(replayed_by_all: Bench, sampler: str) -> None:
    last = replayed_by_all.results.get((sampler, 0, 2))
    assert last is not None
    assert len(set(last.chosen)) == 6


def test_neighbors_are_found_exactly() -> None:
    vectors = np.eye(3, dtype=np.float32)
    similar, near = searcher(np.array([7, 3, 5]), vectors)(np.array([[0.0, 0.8, 0.6]], np.float32), 4)
    assert near.tolist() == [[3, 5, 7, -1]]
    assert similar[0, :2].tolist() == pytest.approx([0.8, 0.6])
