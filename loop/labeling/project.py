"""The Label Studio project of this fieldloop project: known by its server, its number and a mark of
ours in it.

Numbers begin at 1 on every server, so a number alone says nothing: the mark says whose a project
is. The server only says where to look. Behind the mark stands the number of the last push, so that an
older state of the project, as after a backup was restored, is known to be one.

Second and third persons answer in projects of their own, because the community edition shows everybody
all of a project: slot 0 is the project of first answers, slots 1 and 2 are theirs.
"""

from __future__ import annotations

import uuid

from sqlalchemy.orm import Session

from connectors.errors import ProjectGone, StrangersProject
from connectors.ports import LabelBackend
from db.engine import read, write
from db.facts import claim_fact, get_fact, set_fact
from db.states import TaskStatus
from db.tasks import external_projects, tasks
from loop.project.project import Project

PROJECT_FACT = "label_studio_project"
SLOTS = (0, 1, 2)
PERSONS = ("", "second person", "third person")
"""By slot, who answers there."""
SERVER_FACT = "label_studio_server"
ADDRESS_FACT = "label_studio_address"
MARK_FACT = "label_studio_mark"
PUSHES_FACT = "label_studio_pushes"
OWN_SERVER = "our own server"
ABSENT = "no project of that number"
LONGEST_TITLE = 50
"""Characters that Label Studio allows."""
WITNESSES = 200
"""So many of our tasks are looked for in a project without a mark."""
OVER_THERE = (TaskStatus.CONFIRMED, TaskStatus.QUARANTINED, TaskStatus.DONE, TaskStatus.SKIPPED)


def label_studio_project(project: Project, slot: int = 0) -> int | None:
    """The number of the project that tasks go to: what the settings name, else what the last push
    made. None before the first push.
    """
    configured = project.settings.label_studio.project_id if slot == 0 else 0
    return configured or holding_project(project, slot)


def holding_project(project: Project, slot: int = 0) -> int | None:
    """The number of the project that the last push put tasks into. None before the first push."""
    with read(project.engine) as session:
        fact = get_fact(session, project_fact(slot))
        if fact is None and slot == 0:
            return max(external_projects(session), default=None)
    return int(fact) if fact else None


def project_fact(slot: int) -> str:
    """The fact that holds the number of the project of a slot."""
    return f"{PROJECT_FACT}_{slot}" if slot else PROJECT_FACT


def slot_of(session: Session, number: int) -> int:
    """The slot whose project that is."""
    facts = {slot: get_fact(session, project_fact(slot)) for slot in SLOTS[1:]}
    return next((slot for slot, fact in facts.items() if fact == str(number)), 0)


def title_of(project: Project, slot: int) -> str:
    """What the project of a slot is called, cut so that the person stays to be seen."""
    name, person = project.settings.name, PERSONS[slot]
    return f"{name[: LONGEST_TITLE - len(person) - 2]}, {person}" if person else name


def server_name(project: Project) -> str:
    """What the settings call the server; our own changes its port, so it has one name."""
    return project.settings.label_studio.url or OWN_SERVER


def mark_of_ours(project: Project) -> str:
    """The mark of this fieldloop project, 32 hexadecimal digits; made once."""
    with read(project.engine) as session:
        made = get_fact(session, MARK_FACT)
    if made is not None:
        return made
    with write(project.engine) as session:
        return claim_fact(session, MARK_FACT, uuid.uuid4().hex)


def remember_project(project: Project, number: int, slot: int = 0) -> None:
    """Tasks are in that project of the server that the settings name."""
    with write(project.engine) as session:
        set_fact(session, project_fact(slot), str(number))
        set_fact(session, SERVER_FACT, server_name(project))


def remember_address(project: Project, address: str) -> None:
    """A browser opens tasks there; our own server changes its port."""
    with read(project.engine) as session:
        if get_fact(session, ADDRESS_FACT) == address:
            return
    with write(project.engine) as session:
        set_fact(session, ADDRESS_FACT, address)


def note_push(project: Project, backend: LabelBackend, number: int) -> None:
    """The project holds what one more push made. There first: stopped in between, it looks newer."""
    pushes = _pushes(project, number) + 1
    backend.set_mark(number, f"{mark_of_ours(project)} {pushes}")
    with write(project.engine) as session:
        set_fact(session, f"{PUSHES_FACT}_{number}", str(pushes))


def note_restored(project: Project, backend: LabelBackend, number: int) -> None:
    """What the project lacks since a backup of it was restored is dealt with."""
    backend.set_mark(number, f"{mark_of_ours(project)} {_pushes(project, number)}")


def is_restored(project: Project, backend: LabelBackend, number: int) -> bool:
    """Whether the project is older than our last push into it. A mark without a number, as a person
    writes it, says nothing.
    """
    _, _, pushes = backend.mark_of(number).partition(" ")
    return bool(pushes) and int(pushes) < _pushes(project, number)


def giving_up(follows: bool) -> str:
    """The command that leaves a project without fetching its answers.

    follows: the settings name the project that tasks go to.
    """
    return f"`fieldloop push {'' if follows else '--new-project '}--give-up-answers`"


def require_ours(project: Project, backend: LabelBackend, number: int, slot: int = 0) -> None:
    """Returns where that project is ours. One without a mark gets ours, if it holds our tasks or if
    we have none in any project of that number.

    Raises StrangersProject where it is somebody else's, or where it is not on this server and the
    last push went to another; ProjectGone where it is gone from the very server.
    """
    ours = mark_of_ours(project)
    try:
        found = backend.mark_of(number).partition(" ")[0]
    except ProjectGone as error:
        if _moved(project):
            raise _stranger(project, number, ABSENT, slot) from error
        raise
    if found and found != ours:
        raise _stranger(project, number, "the mark of another fieldloop project", slot)
    if not found:
        _adopt(project, backend, number, ours, slot)
    if _moved(project) and holding_project(project, slot) == number:
        remember_project(project, number, slot)


def _adopt(project: Project, backend: LabelBackend, number: int, mark: str, slot: int) -> None:
    with read(project.engine) as session:
        known = [task for task in tasks(session, status=OVER_THERE) if task.external_project == number]
    witnesses = {task.key: task.external_id for task in known[-WITNESSES:]}
    if witnesses:
        there = backend.find(number, [*witnesses])
        if not any(witnesses[key] in ids for key, ids in there.items()):
            raise _stranger(project, number, "one without our mark and without any of our tasks", slot)
    elif _moved(project):
        raise _stranger(project, number, "one without our mark", slot)
    backend.set_mark(number, mark)


def _pushes(project: Project, number: int) -> int:
    with read(project.engine) as session:
        return int(get_fact(session, f"{PUSHES_FACT}_{number}") or 0)


def _moved(project: Project) -> bool:
    """Whether the settings name another server than at the last push."""
    with read(project.engine) as session:
        former = get_fact(session, SERVER_FACT)
    return former is not None and former != server_name(project)


def _stranger(project: Project, number: int, got: str, slot: int) -> StrangersProject:
    with read(project.engine) as session:
        former = get_fact(session, SERVER_FACT) or server_name(project)
    held, configured = holding_project(project) or number, project.settings.label_studio.project_id
    nothing = "nothing was read or written there, and our open tasks and last answers wait"
    ours = (
        " If this project is ours all the same, write"
        f" [fieldloop {mark_of_ours(project)}] into its description (Settings > General), in place of another"
        " mark"
    )
    if slot:
        said = (
            f"expected project {number}, where a {PERSONS[slot]} answers, to be ours, got {got} at"
            f" {server_name(project)}; nothing was read or written there. Next: give it back, or run"
            " `fieldloop push --new-project`, which makes the projects of all persons anew."
        )
    elif number != held:
        said = (
            f"expected project {number}, which label_studio.project_id names, to be ours to fill, got {got}"
            f" at {server_name(project)}; {nothing} in project {held} of {former}. Next: correct"
            " label_studio.project_id; 0 stands for a new project."
        )
    else:
        as_now = "label_studio.url as now, project_id to 0," if configured == held else "them as now"
        said = (
            f"expected project {number} of {former}, which carries our mark, got {got} at"
            f" {server_name(project)}; {nothing}. Next: to take them along, set label_studio.url and"
            f" label_studio.project_id back to project {number} of {former}, run `fieldloop pull`, then set"
            f" {as_now} and run {giving_up(configured not in (0, held))}, which gives up only what was not"
            " pulled."
        )
    return StrangersProject(said + ("" if got == ABSENT else ours))
