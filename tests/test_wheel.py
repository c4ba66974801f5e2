"""The built wheel, installed elsewhere, runs from a folder that holds packages of the same names."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("loop", "samplers", "connectors", "db", "config", "demo")

pytestmark = pytest.mark.slow


def run(*command: str | Path, cwd: Path, **environment: str) -> str:
    """Its output; the variables of this process that would show it our checkout are left out."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    done = subprocess.run(command, cwd=cwd, env=inherited | environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    source = tmp_path_factory.mktemp("source")
    for name in PACKAGES:
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source / name)
    run(sys.executable, "-m", "build", "--wheel", "--no-isolation", cwd=source)
    (built,) = (source / "dist").glob("*.whl")
    return built


@pytest.fixture(scope="module")
def site(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("a site")
    options = ("--no-deps", "--no-index", "--disable-pip-version-check", "--target", target)
    run(sys.executable, "-m", "pip", "install", *options, wheel, cwd=target)
    return target


@pytest.fixture
def hostile(tmp_path: Path) -> Path:
    """A user's folder whose own packages bear our names and end the program when they are imported."""
    for name in PACKAGES:
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text(
            f"raise SystemExit('the {name} of the user was imported')\n"
        )
    return tmp_path


def test_every_file_of_the_packages_is_in_the_wheel(wheel: Path) -> None:
    tracked = run("git", "ls-files", "-z", *PACKAGES, cwd=ROOT).split("\0")
    shipped = set(zipfile.ZipFile(wheel).namelist())
    assert [name for name in tracked if name and name not in shipped] == []


def test_our_packages_are_loaded_from_a_folder_that_has_its_own(site: Path, hostile: Path) -> None:
    code = f"import {', '.join(PACKAGES)}\nprint(*(m.__file__ for m in ({', '.join(PACKAGES)})), sep='\\n')"
    files = run(sys.executable, "-P", "-c", code, cwd=hostile, PYTHONPATH=str(site)).splitlines()
    assert [Path(file).relative_to(site).parts[0] for file in files] == list(PACKAGES)


def test_the_command_runs_from_a_folder_that_has_its_own(site: Path, hostile: Path) -> None:
    script = run(site / "bin" / "fieldloop", "--help", cwd=hostile, PYTHONPATH=str(site))
    module = run(sys.executable, "-P", "-m", "loop.cli", "--help", cwd=hostile, PYTHONPATH=str(site))
    for shown in (script, module):
        for command in ("init", "ingest", "select", "push", "pull", "round", "serve"):
            assert command in shown
