"""The whole loop on a rendered world, on real parts, measured beside random frames and beside no
new frame at all.
"""

from __future__ import annotations

import json
import shutil
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from connectors.label_studio.server import ServerInfo, stop
from connectors.ports import Progress, Purpose
from db.rounds import RoundRow
from demo.annotator import Annotator, Truth
from demo.control_groups import Trained, loop_manifest, passes_of, random_entries, train_control
from demo.deployed import deployed_weights
from demo.plan import DemoError, Plan
from demo.scoring import HeldOutSet, Score, load_tests, score
from demo.world import rendered
from loop.gaps import coverage_view
from loop.gaps.arrivals import analyze
from loop.gaps.coverage_view import CoverageView
from loop.ingest.ingest import ingest
from loop.labeling.pull import pull
from loop.labeling.push import push
from loop.project.init import NewProject, create_project
from loop.project.project import open_project
from loop.project.wiring import Parts
from loop.rounds import rounds
from loop.rounds.preflight import preflight
from loop.selection import select
from loop.selection.select import Chosen, SelectReport
from loop.settings.settings import load_settings
from loop.web.pages import gaps

KEPT = {"labelstudio"}
SAY_EVERY_S = 10.0
PULL_EVERY_S = 3.0


@dataclass
class Outcome:
    """Everything the report shows. weights: the deployed model. scores: by model, then by
    condition.

    trained: the loop's first, then the control groups. seconds: by step.
    """

    plan: Plan
    weights: Path
    view: CoverageView
    batches: list[SelectReport]
    row: RoundRow
    trained: list[Trained]
    scores: dict[str, dict[str, Score]]
    server: ServerInfo
    project_url: str
    random_hashes: list[str]
    seconds: dict[str, float] = field(default_factory=dict)

    @property
    def labeled(self) -> int:
        """Frames that were answered and train."""
        return self.trained[0].frames


Say = Callable[[str], None]


def run(
    plan: Plan, folder: Path, say: Say, progress: Progress, human: bool = False, control_groups: bool = True
) -> Outcome:
    """Turns the loop once in `folder`; what an earlier run rendered is used again. The truth lies
    in folder/truth.
    """
    clock = Clock(say)
    root = folder / "project"
    _clear(root)
    server = _Later(lambda: _start_server(root, say))
    with clock("rendering the world"):
        world, truth = _rendered(plan, folder, say, progress)
    with clock("the detector to deploy"):
        weights = deployed_weights(plan, folder, say, progress)
    with clock("making the project"):
        parts = _project(plan, root, world, weights, progress)
    with clock("ingest and analyze"):
        ingest(parts, progress, until_whole=True)
        analyze(parts, progress)
    with clock("finding gaps"):
        view = coverage_view.build(parts, progress)
        gaps.write(parts.project, view, parts.project.pages / "gaps.html")
    for line in coverage_view.lines(view):
        say(f"  {line}")
    random = select.select_from(parts.project, view, _random(plan)).chosen
    with clock("waiting for Label Studio"):
        running = server.get()
    batches, url = [], ""
    for _ in range(plan.batches):
        with clock("select and push"):
            batches.append(select.select(parts, progress, budget=plan.budget))
            pushed = push(parts, progress)
            url = pushed.url
        with clock("labeling"):
            if human:
                _wait_for_person(parts, running, url, say, progress)
            else:
                _label(parts, running, truth, pushed.project_id, progress)
    for line in preflight(parts).lines():
        say(f"  {line}")
    with clock("the round: freeze, train, judge"):
        rounds.start(parts)
        row = rounds.run(parts, progress)
    if row is None or row.candidate_id is None:
        raise DemoError(
            f"the round did not end in a candidate: {row.error if row else 'another process holds it'}"
        )
    say(f"  round {row.id}: {row.status}")
    trained = [_by_loop(parts, row)]
    if control_groups:
        with clock("the control groups: random frames, replay only"):
            trained += _control_groups(parts, row, view, random, Truth.read(truth), folder, progress)
    with clock("measuring on held-out scenes"):
        scores = _scores(parts, weights, trained, load_tests(truth / "test"), progress)
    by_chance = [item.content_hash for item in random if item.purpose == Purpose.TRAIN]
    return Outcome(plan, weights, view, batches, row, trained, scores, running, url, by_chance, clock.seconds)


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
    from connectors.label_studio.server import start
    from loop.project.project import home

    store = root / "store"
    store.mkdir(exist_ok=True)
    return start(root / "labelstudio", store, home(), 0, _sparing(say))


def _sparing(say: Say) -> Progress:
    """Says how the server comes up now and then."""
    said = float("-inf")

    def report(done: int, total: int, what: str) -> None:
        nonlocal said
        if time.monotonic() - said >= SAY_EVERY_S:
            said = time.monotonic()
            say(f"  Label Studio: {what}")

    return report


def _rendered(plan: Plan, folder: Path, say: Say, progress: Progress) -> tuple[Path, Path]:
    """(world, truth) of this plan, rendered once."""
    if not rendered(plan.world, folder, lambda done, total: progress(done, total, "scenes")):
        say("  the same world is there already")
    return folder / "world", folder / "truth"


def _project(plan: Plan, root: Path, world: Path, weights: Path, progress: Progress) -> Parts:
    overrides = tuple(f"{key}={json.dumps(value)}" for key, value in plan.project.items())
    new = NewProject(
        root, world / "train" / "data.yaml", weights, str(world / "production"), "", "small", overrides
    )
    create_project(new, progress)
    return Parts(open_project(root))


def _random(plan: Plan) -> select.Request:
    return select.Request(plan.budget * plan.batches, "random", seed=load_settings(None).seed, dry_run=True)


def _label(parts: Parts, server: ServerInfo, truth: Path, project_id: int, progress: Progress) -> None:
    Annotator(server.url, server.token, Truth.read(truth)).answer_all(project_id, progress)
    pull(parts, progress)


def _wait_for_person(parts: Parts, server: ServerInfo, url: str, say: Say, progress: Progress) -> None:
    from loop.insights.overview import overview

    credentials = parts.project.label_studio / "credentials.json"
    say(f"  label at {url} as {server.username}; password in {credentials}")
    while True:
        pull(parts, lambda done, total, what: None)
        tasks = overview(parts.project).tasks
        waiting = tasks["pending"] + tasks["sent"] + tasks["confirmed"]
        answered = tasks["done"] + tasks["skipped"]
        progress(answered, answered + waiting, "answered by you")
        if not waiting:
            return
        time.sleep(PULL_EVERY_S)


def _by_loop(parts: Parts, row: RoundRow) -> Trained:
    from db.engine import read
    from db.models import model

    with read(parts.project.engine) as session:
        candidate = model(session, row.candidate_id or 0)
    manifest = loop_manifest(parts.project, row)
    new = [entry for entry in manifest.of("train") if entry.origin == "production"]
    return Trained("loop", parts.project.root / candidate.path, len(new), passes_of(manifest))


def _control_groups(
    parts: Parts,
    row: RoundRow,
    view: CoverageView,
    random: list[Chosen],
    truth: Truth,
    folder: Path,
    progress: Progress,
) -> list[Trained]:
    manifest = loop_manifest(parts.project, row)
    passes = passes_of(manifest)
    count = sum(entry.origin == "production" for entry in manifest.of("train"))
    train = [item for item in random if item.purpose == Purpose.TRAIN][:count]
    new = random_entries(parts.project, view, train, truth, parts.project.settings.round.new_repeats)
    shutil.rmtree(folder / "control_groups", ignore_errors=True)
    return [
        train_control(parts, row, "random", new, passes, folder / "control_groups" / "random", progress),
        train_control(parts, row, "replay only", [], passes, folder / "control_groups" / "replay", progress),
    ]


def _scores(
    parts: Parts, weights: Path, trained: list[Trained], sets: list[HeldOutSet], progress: Progress
) -> dict[str, dict[str, Score]]:
    models = {"deployed": weights} | {each.name: each.weights for each in trained}
    return {name: score(parts.detector_of(weights), sets, progress) for name, weights in models.items()}


def stop_server(folder: Path) -> None:
    stop(folder / "project" / "labelstudio")
