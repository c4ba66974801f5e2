import sys
from pathlib import Path

import pytest
import yaml

import config
from demo.plan import SHARED, DemoError, Plan, read_plan
from loop.cli.app import FAILED, main
from loop.settings.settings import valid_keys

CONFIGS = sorted(config.FOLDER.glob("demo*.yaml"))
WORLD = yaml.safe_load((config.FOLDER / "demo-night.yaml").read_text(encoding="utf-8"))["world"]


def plan_of(folder: Path, **sections: object) -> Plan:
    path = folder / "plan.yaml"
    path.write_text(yaml.safe_dump({"world": WORLD, **sections}))
    return read_plan(path)


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.name)
def test_the_plans_that_are_carried_are_whole(path: Path) -> None:
    plan = read_plan(path)
    assert plan.budget > 0
    assert set(plan.project) <= valid_keys()
    assert plan.project["frames.pattern"]


def test_what_a_plan_leaves_out_is_as_in_the_shared_one(tmp_path: Path) -> None:
    shared = read_plan(SHARED)
    plan = plan_of(tmp_path)
    assert (plan.project, plan.budget, plan.batches) == (shared.project, shared.budget, shared.batches)
    assert plan.weights is None


def test_a_plan_overrides_key_by_key(tmp_path: Path) -> None:
    shared = read_plan(SHARED)
    own = {"name": "other", "round": {"epochs": 3, "train": {"hsv_v": 0.4}}}
    plan = plan_of(tmp_path, project=own, demo={"batches": 2})
    changed = {
        "name": "other",
        "round.epochs": 3,
        "round.train": shared.project["round.train"] | {"hsv_v": 0.4},
    }
    assert plan.project == shared.project | changed
    assert (plan.budget, plan.batches) == (shared.budget, 2)


def test_weights_are_named_relative_to_the_plan(tmp_path: Path) -> None:
    (tmp_path / "own.pt").touch()
    assert plan_of(tmp_path, demo={"weights": "own.pt"}).weights == tmp_path / "own.pt"
    with pytest.raises(DemoError, match=r"demo\.weights: expected a checkpoint, found no file .*none\.pt"):
        plan_of(tmp_path, demo={"weights": "none.pt"})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[]", "expected a section `world:`, found none"),
        ("project: {}", "expected a section `world:`, found none"),
        ("a: [", "expected YAML, got something unreadable"),
        ("world: {}\nextra: 1", "expected sections world, project and demo, found also extra"),
        ("world: {a: 1}\ndemo: 3", "demo: expected `key: value` lines, got 3"),
        (
            "world: {a: 1}\ndemo: {bugdet: 3}",
            "demo: expected budget, batches or weights, found bugdet",
        ),
    ],
)
def test_a_wrong_plan_is_named(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "plan.yaml"
    path.write_text(text)
    with pytest.raises(DemoError, match=message):
        read_plan(path)


def test_wrong_settings_and_counts_are_named_before_anything_is_rendered(tmp_path: Path) -> None:
    with pytest.raises(DemoError, match=r"project: unknown key 'round\.epoch'.*'round\.epochs'"):
        plan_of(tmp_path, project={"round": {"epoch": 3}})
    with pytest.raises(DemoError, match=r"demo\.budget: expected a whole number from 1, got 'many'"):
        plan_of(tmp_path, demo={"budget": "many"})


def test_the_command_refuses_it_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "plan.yaml"
    path.write_text("a: 1")
    monkeypatch.setattr(sys, "argv", ["fieldloop", "demo", "--config", str(path), "--folder", str(tmp_path)])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == FAILED
    assert (
        capsys.readouterr().err == f"error {path}: expected sections world, project and demo, found also a\n"
    )


def test_the_demo_is_imported_by_the_commands_that_show_it_or_take_its_detector_and_by_nothing_else() -> None:
    root = Path(__file__).parents[2]
    importing = {
        path.relative_to(root).as_posix()
        for package in ("loop", "samplers", "connectors", "db")
        for path in (root / package).rglob("*.py")
        for line in path.read_text(encoding="utf-8").splitlines()
        if line.lstrip().startswith(("from demo", "import demo"))
    }
    assert importing == {"loop/cli/demo.py", "loop/cli/bench.py"}
