"""The site builds from what is here alone, says what is dead, and fetches nothing when it is read."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tools.site_hooks import relinked, resolved, source_of, targets, uri_of, with_results

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]


def build(root: Path, out: Path) -> subprocess.CompletedProcess[str]:
    command = (sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", out)
    environment = {"PATH": "/usr/bin:/bin", "NO_MKDOCS_2_WARNING": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("site")
    done = build(ROOT, out)
    assert done.returncode == 0, done.stderr[-4000:]
    return out


def test_the_site_has_what_pages_were_written_and_made(site: Path) -> None:
    written = {path.relative_to(ROOT / "docs").with_suffix(".html") for path in (ROOT / "docs").rglob("*.md")}
    made = {
        Path(name)
        for name in ("index.html", "reference/commands.html", "reference/settings.html", "CONTRIBUTING.html")
    }
    assert [page for page in written | made if not (site / page).is_file()] == []


def test_the_first_page_is_the_readme_and_leads_on(site: Path) -> None:
    home = (site / "index.html").read_text(encoding="utf-8")
    assert 'href="quickstart.html"' in home
    assert 'href="code/config/default.yaml.html"' in home
    assert (site / "code/config/default.yaml.html").is_file()


def test_reading_it_fetches_nothing(site: Path) -> None:
    loaded = r"<(?:script|link|img|iframe)[^>]*(?:src|href)=[\"']?(?:https?:)?//[^\"' >]+"
    assert [
        found for page in site.rglob("*.html") for found in re.findall(loaded, page.read_text("utf-8"))
    ] == []


def test_each_dead_link_is_named_and_fails_the_build(tmp_path: Path) -> None:
    root = tmp_path / "checkout"
    shutil.copytree(ROOT / "docs", root / "docs")
    for path in ROOT.iterdir():
        if path.is_dir() and path.name not in {"docs", "site"} and not path.name.startswith("."):
            (root / path.name).symlink_to(path)
        elif path.suffix in {".md", ".yml", ".toml"}:
            shutil.copy(path, root)
    dead = ("nowhere.md", "../loop/nowhere.py", "quickstart.md#nowhere")
    with (root / "docs" / "walk.md").open("a") as page:
        page.writelines(f"\n[gone]({link})\n" for link in dead)
    done = build(root, tmp_path / "site")
    assert done.returncode != 0
    assert [line.split("'")[1:4:2] for line in done.stderr.splitlines() if "WARNING" in line] == [
        ["walk.md", link] for link in dead
    ], done.stderr


def test_links_mean_files_of_the_repository() -> None:
    assert resolved("docs/howto/own-clip.md", "../../config/default.yaml") == "config/default.yaml"
    assert resolved("README.md", "docs/walk.md") == "docs/walk.md"
    assert resolved("README.md", "https://example.org/a.md") is None
    text = "[a](../x.py) and ![b](c.png)\n```\n[code](../y.py)\n```\n[d](e.md#part)"
    assert list(targets("docs/walk.md", text)) == ["x.py", "docs/c.png", "docs/e.md"]


@pytest.mark.parametrize(
    ("source", "uri"),
    [
        ("README.md", "index.md"),
        ("docs/howto/backup.md", "howto/backup.md"),
        ("docs/reference/commands.md", "reference/commands.md"),
        ("CONTRIBUTING.md", "CONTRIBUTING.md"),
        ("examples/README.md", "examples/README.md"),
        ("loop/cli/app.py", "code/loop/cli/app.py.md"),
    ],
)
def test_every_file_has_its_place_in_the_site_and_back(source: str, uri: str) -> None:
    assert uri_of(source) == uri
    assert source_of(uri) == source


def test_links_lead_to_the_pages_of_the_site() -> None:
    text = (
        "[code](../loop/cli/app.py), [page](quickstart.md#2-make-a-project),"
        " [gone](../nowhere.py)\n```\n[x](../README.md)\n```"
    )
    assert (
        relinked("docs/walk.md", text)
        == "[code](code/loop/cli/app.py.md), [page](quickstart.md#2-make-a-project), [gone](../nowhere.py)\n"
        "```\n[x](../README.md)\n```"
    )
    assert relinked("README.md", "[picture](docs/report.png)") == "[picture](report.png)"


def test_a_page_that_stands_nowhere_is_one_of_results() -> None:
    nav = [{"Home": "index.md"}, {"Code": ["walk.md"]}, {"Results": ["results.md"]}]
    assert with_results(nav, ["doubt.md", "index.md", "results.md", "walk.md"]) == [
        {"Home": "index.md"},
        {"Code": ["walk.md"]},
        {"Results": ["results.md", "doubt.md"]},
    ]
