"""The whole loop on a rendered world, on real parts, measured beside random frames and beside no new frame at all."""

from __future__ import annotations

import hashlib
import json
import shutil
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from connectors.label_studio_server import ServerInfo, stop
from connectors.ports import Progress
from db.rounds import RoundRow
from demo.annotator import Annotator, Truth
from demo.arms import Arm, loop_manifest, passes_of, random_entries, train_arm
from demo.scoring import HeldOutSet, Score, load_tests, score
from demo.world import World, build, parse_world
from loop import coverage_view, gaps_page, rounds, selecting, stages
from loop.coverage_view import CoverageView
from loop.create import NewProject, create_project
from loop.project import open_project
from loop.selecting import Chosen, SelectReport
from loop.settings import load_settings
from loop.wiring import Parts

ASSETS = Path(__file__).parent / "assets"
BASE_WEIGHTS = ASSETS / "detector" / "base.pt"
KEPT = {"labelstudio"}


class DemoError(Exception):
    """A demo configuration that cannot be used."""


@dataclass(frozen=True)
class Plan:
    """A demo's YAML. project: settings of the fieldloop project, dotted. budget: frames of one batch. weights: the deployed model."""

    world: World
    project: dict[str, Any]
    budget: int
    batches: int
    weights: Path = BASE_WEIGHTS


@dataclass
class Outcome:
    """Everything the report shows. scores: by model, then by condition. seconds: by step."""

    plan: Plan
    view: CoverageView
    batches: list[SelectReport]
    row: RoundRow
    arms: list[Arm]
    scores: dict[str, dict[str, Score]]
    server: ServerInfo
    project_url: str
    labeled: int
    random_hashes: list[str]
    seconds: dict[str, float] = field(default_factory=dict)


Say = Callable[[str], None]


def read_plan(path: Path) -> Plan:
    """Raises DemoError or WorldError naming what is wrong."""
    text = path.read_text(encoding="utf-8")
    tree = yaml.safe_load(text)
    if not isinstance(tree, dict) or "world" not in tree:
        raise DemoError(f"{path}: expected a section `world:`, found none; see config/demo.yaml")
    if unknown := set(tree) - {"world", "project", "demo"}:
        raise DemoError(
            f"{path}: expected sections world, project and demo, found also {', '.join(sorted(unknown))}"
        )
    demo = {"budget": 100, "batches": 1, "weights": "", **(tree.get("demo") or {})}
    if unknown := set(demo) - {"budget", "batches", "weights"}:
        raise DemoError(
            f"{path}: demo: expected budget, batches or weights, found {', '.join(sorted(unknown))}"
        )
    weights = path.parent / demo["weights"] if demo["weights"] else BASE_WEIGHTS
    return Plan(
        parse_world(tree["world"], str(path)),
        _dotted(tree.get("project") or {}),
        int(demo["budget"]),
        int(demo["batches"]),
        weights,
    )


def run(
    plan: Plan, folder: Path, say: Say, progress: Progress, human: bool = False, arms: bool = True
) -> Outcome:
    """Turns the loop once in `folder`; what an earlier run rendered is used again. The truth lies in folder/truth."""
    clock = Clock(say)
    root = folder / "project"
    _clear(root)
    server = _Later(lambda: _start_server(root, say))
    with clock("rendering the world"):
        world, truth = _rendered(plan, folder, say, progress)
    with clock("making the project"):
        parts = _project(plan, root, world, progress)
    with clock("ingest and analyze"):
        stages.ingest(parts, progress, until_whole=True)
        stages.analyze(parts, progress)
    with clock("finding gaps"):
        view = coverage_view.build(parts, progress)
        gaps_page.write(parts.project, view, parts.project.pages / "gaps.html")
    for line in coverage_view.lines(view):
        say(f"  {line}")
    random = selecting.select_from(parts.project, view, _random(plan)).chosen
    with clock("waiting for Label Studio"):
        running = server.get()
    batches, url = [], ""
    for _ in range(plan.batches):
        with clock("select and push"):
            batches.append(stages.select(parts, progress, budget=plan.budget))
            pushed = stages.push(parts, progress)
            url = pushed.url
        with clock("labeling"):
            _label(parts, running, truth, pushed.project_id, human, say, progress)
    with clock("the round: freeze, train, judge"):
        rounds.start(parts)
        row = rounds.run(parts, progress)
    if row is None or row.candidate_id is None:
        raise DemoError(
            f"the round did not end in a candidate: {row.error if row else 'another process holds it'}"
        )
    say(f"  round {row.id}: {row.status}")
    trained = [_loop_arm(parts, row)]
    if arms:
        with clock("the arms beside it: random frames, replay only"):
            trained += _arms_beside(parts, row, view, random, Truth.read(truth), folder, progress)
    with clock("measuring on held-out scenes"):
        scores = _scores(parts, plan, trained, load_tests(truth / "test"), progress)
    labeled = sum(item.purpose == "train" for batch in batches for item in batch.chosen)
    by_chance = [item.content_hash for item in random if item.purpose == "train"]
    return Outcome(plan, view, batches, row, trained, scores, running, url, labeled, by_chance, clock.seconds)


class Clock:
    """Says what begins and keeps how long it took."""

    def __init__(self, say: Say) -> None:
        self.say = say
        self.seconds: dict[str, float] = {}
        self._step = ""
        self._began = 0.0

    def __call__(self, step: str) -> Clock:
        self._step = step
        return self

    def __enter__(self) -> None:
        self._began = time.monotonic()
        self.say(f"{self._step} …")

    def __exit__(self, *_: object) -> None:
        took = time.monotonic() - self._began
        self.seconds[self._step] = round(self.seconds.get(self._step, 0.0) + took, 1)


class _Later:
    """A server that starts in the background while the world is rendered."""

    def __init__(self, start: Callable[[], ServerInfo]) -> None:
        self._found: list[ServerInfo] = []
        self._error: list[Exception] = []
        self._thread = threading.Thread(target=self._run, args=(start,), daemon=True)
        self._thread.start()

    def _run(self, start: Callable[[], ServerInfo]) -> None:
        try:
            self._found.append(start())
        except Exception as error:
            self._error.append(error)

    def get(self) -> ServerInfo:
        self._thread.join()
        if self._error:
            raise self._error[0]
        return self._found[0]


def _dotted(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        if isinstance(value, dict) and f"{prefix}{key}" != "round.train":
            flat |= _dotted(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def _clear(root: Path) -> None:
    """A fresh project; the server's data stay, so that it need not be set up again."""
    root.mkdir(parents=True, exist_ok=True)
    for path in root.iterdir():
        if path.name in KEPT:
            continue
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()


def _start_server(root: Path, say: Say) -> ServerInfo:
    from connectors.label_studio_server import start
    from loop.project import home

    store = root / "store"
    store.mkdir(exist_ok=True)
    return start(
        root / "labelstudio", store, home(), 0, lambda done, total, what: say(f"  Label Studio: {what}")
    )


def _rendered(plan: Plan, folder: Path, say: Say, progress: Progress) -> tuple[Path, Path]:
    """(world, truth) of this plan, rendered once."""
    world, truth, stamp = folder / "world", folder / "truth", folder / "world.sha256"
    described = hashlib.sha256(plan.world.model_dump_json().encode()).hexdigest()
    if stamp.is_file() and stamp.read_text() == described:
        say("  the same world is there already")
        return world, truth
    for part in (world, truth):
        shutil.rmtree(part, ignore_errors=True)
    stamp.unlink(missing_ok=True)
    build(plan.world, world, truth, lambda done, total: progress(done, total, "scenes"))
    stamp.write_text(described)
    return world, truth


def _project(plan: Plan, root: Path, world: Path, progress: Progress) -> Parts:
    overrides = tuple(f"{key}={json.dumps(value)}" for key, value in plan.project.items())
    new = NewProject(
        root, world / "train" / "data.yaml", plan.weights, str(world / "production"), "", "small", overrides
    )
    create_project(new, progress)
    return Parts(open_project(root))


def _random(plan: Plan) -> selecting.Request:
    return selecting.Request(
        plan.budget * plan.batches, "random", seed=load_settings(None).seed, dry_run=True
    )


def _label(
    parts: Parts, server: ServerInfo, truth: Path, project_id: int, human: bool, say: Say, progress: Progress
) -> None:
    if human:
        _wait_for_person(parts, server, say, progress)
        return
    Annotator(server.url, server.token, Truth.read(truth)).answer_all(project_id, progress)
    stages.pull(parts, progress)


def _wait_for_person(parts: Parts, server: ServerInfo, say: Say, progress: Progress) -> None:
    from loop.insights import overview

    say(
        f"  label at {server.url} as {server.username}; password in {parts.project.label_studio / 'credentials.json'}"
    )
    while True:
        stages.pull(parts, progress)
        tasks = overview(parts.project).tasks
        waiting = tasks["pending"] + tasks["sent"] + tasks["confirmed"]
        progress(
            tasks["done"] + tasks["skipped"], tasks["done"] + tasks["skipped"] + waiting, "answered by you"
        )
        if not waiting:
            return
        time.sleep(3)


def _loop_arm(parts: Parts, row: RoundRow) -> Arm:
    from db.engine import read
    from db.models import model

    with read(parts.project.engine) as session:
        candidate = model(session, row.candidate_id or 0)
    manifest = loop_manifest(parts.project, row)
    new = [entry for entry in manifest.of("train") if entry.origin == "production"]
    return Arm("loop", parts.project.root / candidate.path, len(new), passes_of(manifest))


def _arms_beside(
    parts: Parts,
    row: RoundRow,
    view: CoverageView,
    random: list[Chosen],
    truth: Truth,
    folder: Path,
    progress: Progress,
) -> list[Arm]:
    manifest = loop_manifest(parts.project, row)
    passes = passes_of(manifest)
    count = sum(entry.origin == "production" for entry in manifest.of("train"))
    train = [item for item in random if item.purpose == "train"][:count]
    new = random_entries(parts.project, view, train, truth, parts.project.settings.round.new_repeats)
    shutil.rmtree(folder / "arms", ignore_errors=True)
    return [
        train_arm(parts, row, "random", new, passes, folder / "arms" / "random", progress),
        train_arm(parts, row, "replay only", [], passes, folder / "arms" / "replay", progress),
    ]


def _scores(
    parts: Parts, plan: Plan, arms: list[Arm], sets: list[HeldOutSet], progress: Progress
) -> dict[str, dict[str, Score]]:
    models = {"deployed": plan.weights} | {arm.name: arm.weights for arm in arms}
    return {name: score(parts.detector_of(weights), sets, progress) for name, weights in models.items()}


def stop_server(folder: Path) -> None:
    stop(folder / "project" / "labelstudio")
