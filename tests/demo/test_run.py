from pathlib import Path

import pytest

from demo.run import DemoError, read_plan
from loop.settings import valid_keys

CONFIGS = sorted((Path(__file__).parents[2] / "config").glob("demo*.yaml"))


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.name)
def test_the_plans_that_are_carried_are_whole(path: Path) -> None:
    plan = read_plan(path)
    assert plan.budget > 0
    assert set(plan.project) <= valid_keys()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[]", "expected a section `world:`, found none"),
        ("world: {}\nextra: 1", "expected sections world, project and demo, found also extra"),
        ("world: {}\ndemo: {bugdet: 3}", "demo: expected budget, batches or weights, found bugdet"),
    ],
)
def test_a_wrong_plan_is_named(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "plan.yaml"
    path.write_text(text)
    with pytest.raises(DemoError, match=message):
        read_plan(path)


def test_product_code_never_imports_the_demo() -> None:
    root = Path(__file__).parents[2]
    lines = [
        f"{path.relative_to(root)}: {line}"
        for package in ("loop", "samplers", "connectors", "db")
        for path in (root / package).rglob("*.py")
        for line in path.read_text(encoding="utf-8").splitlines()
        if line.lstrip().startswith(("from demo", "import demo")) and path.name != "demo.py"
    ]
    assert lines == []
