"""Label Studio behind the LabelBackend port: a project, its tasks with the model's boxes, and what
people answered.
"""

from __future__ import annotations

import json
import re
import weakref
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote

import httpx

from connectors.errors import LabelStudioError
from connectors.label_studio import label_config as config
from connectors.label_studio.client import WRITE, Rejected, connect, time_of, translated
from connectors.label_studio.images import Images, LocalFiles, Uploads
from connectors.label_studio.results import (
    KEY,
    PRIORITY,
    VERSION,
    format_time,
    parse_annotation,
    parse_time,
    renamed,
    shown_priority,
    task_payload,
)
from connectors.ports import LabelProject, LabelTask, TaskAnswers

BATCH = 100
PAGE = 200
QUERY_KEYS = 1000
QUERY_CHARACTERS = 6000
MADE = "Made by fieldloop."
OURS = re.compile(r'\s*<section class="fieldloop">.*?</section>\s*', re.DOTALL)
"""Our part of the instructions; Label Studio lets no comment stay in them."""
MARK = re.compile(r"\s*\[fieldloop ([0-9a-f]+(?: [0-9]+)?)\]")
ANSWER = (
    "id,data,updated_at,annotations,result,completed_by,was_cancelled,ground_truth,created_at,lead_time,"
    "parent_prediction,parent_annotation,import_id,updated_by,total_annotations,cancelled_annotations"
)
Json = dict[str, Any]


class LabelStudio:
    """A LabelBackend.

    images: "local_files" serves them from document_root, with which the server must have been
    started; "upload" copies each to the server.
    names: what labelers call a class, where it is not the model's name.
    ask_occlusion: labelers may mark a box as occluded or truncated.
    Every method raises LabelStudioDown, TokenRefused or LabelStudioError; those that take a project
    also ProjectGone.
    """

    def __init__(
        self,
        url: str,
        token: str,
        images: Literal["local_files", "upload"] = "local_files",
        document_root: Path | None = None,
        timeout: float = 60.0,
        names: Mapping[str, str] | None = None,
        ask_occlusion: bool = True,
    ) -> None:
        self._url = url.rstrip("/")
        self._clock: datetime | None = None
        self._client = connect(self._url, token, timeout, self._heard)
        self._close = weakref.finalize(self, self._client._client_wrapper.httpx_client.httpx_client.close)
        self._names, self._ask_occlusion = dict(names or {}), ask_occlusion
        self._ours = {theirs: ours for ours, theirs in self._names.items()}
        self._images = self._image_way(images, document_root)
        self._classes: dict[int, tuple[str, ...]] = {}
        self._authors: dict[int, str] = {}

    def __repr__(self) -> str:
        return f"LabelStudio({self.url!r})"

    @property
    def url(self) -> str:
        """Its address, without a slash at the end."""
        return self._url

    @property
    def clock(self) -> datetime | None:
        """The server's time at its last answer, to the second; None before one, or without a Date."""
        return self._clock

    def close(self) -> None:
        """Gives the connections back; done by itself when the object goes away."""
        self._close()

    def ensure_project(
        self,
        title: str,
        classes: Sequence[str],
        instructions: str,
        project_id: int | None,
        mark: str = "",
    ) -> LabelProject:
        """The project, made with label config, instructions, order, tabs and mark when project_id
        is None. One that is there gets the instructions of now, the question for occlusion and the
        tabs that it lacks; what people changed in it stays.

        instructions: HTML; "" for none.
        A project of the same title, classes and mark that fieldloop made and that is still empty is
        taken up again: its id was lost in a crash. Raises ProjectGone, and LabelConfigMismatch when its
        classes were changed.
        """
        if project_id is None:
            shown = [self._names.get(one, one) for one in classes]
            xml, name = config.label_config(shown, self._ask_occlusion), config.valid_title(title)
            description = _marked(MADE, mark)
            project_id = self._abandoned(name, xml, description) or self._create(name, xml, description)
        project = self._get(project_id)
        self._require(project, classes)
        self._classes[project_id] = tuple(classes)
        self._renew(project, instructions)
        self._ensure_tabs(project_id)
        return LabelProject(project_id, f"{self.url}/projects/{project_id}/data", tuple(classes))

    def check(self, project_id: int, classes: Sequence[str]) -> None:
        """Raises LabelConfigMismatch naming the classes that the label config lacks."""
        self._require(self._get(project_id), classes)
        self._classes[project_id] = tuple(classes)

    def mark_of(self, project_id: int) -> str:
        """The mark in the project's description, "" where it has none."""
        found = MARK.search(self._get(project_id)["description"] or "")
        return found[1] if found else ""

    def set_mark(self, project_id: int, mark: str) -> None:
        """Puts the mark at the end of the project's description, in place of another."""
        described = self._get(project_id)["description"] or ""
        with self._asking("the project's mark", project_id) as client:
            client.projects.update(project_id, description=_marked(described, mark), request_options=WRITE)

    def count(self, project_id: int) -> int:
        """How many tasks the project holds, those that somebody else put there among them."""
        return int(self._get(project_id)["task_number"] or 0)

    def find(self, project_id: int, keys: Sequence[str]) -> dict[str, list[int]]:
        """Task ids by key, oldest first; several where a task was made twice. A key without a task
        is absent.
        """
        found: dict[str, list[int]] = {}
        for chunk in _chunks(keys):
            wanted = _filter(f"data.{KEY}", "in_list", "String", chunk)
            for task in self._tasks("looking for tasks", project_id, [wanted], "id,data", "task_only"):
                found.setdefault(str(task["data"][KEY]), []).append(int(task["id"]))
        return found

    def push(self, project_id: int, tasks: Sequence[LabelTask]) -> dict[str, int]:
        """Creates one task each, whether or not they exist already; look with `find` before. Task
        ids by key.

        Made in the order of their priority, in which Label Studio hands them out. Boxes are cut at the
        image's border. A task that Label Studio refuses holds up no other: the
        rest are made before LabelStudioError names it. After LabelStudioDown a batch may have
        arrived or not.
        """
        project = self._get(project_id)
        self._require(project, [*{box.class_name: 0 for task in tasks for box in task.predictions}])
        asks = config.SEEN in (project["parsed_label_config"] or {})
        made: dict[str, int] = {}
        refused: dict[str, str] = {}
        first = sorted(tasks, key=lambda task: -task.priority)
        for begin in range(0, len(first), BATCH):
            batch = first[begin : begin + BATCH]
            urls = self._images.urls(project_id, [task.image for task in batch])
            payload = [
                task_payload(self._as_they_call(task), url, asks)
                for task, url in zip(batch, urls, strict=True)
            ]
            self._import(project_id, payload, made, refused)
        if refused:
            raise LabelStudioError(
                f"expected Label Studio to take {len(tasks)} tasks, got {len(refused)} refused: {refused}; "
                "next: mend those; the others were made"
            )
        return made

    def answers(self, project_id: int, since: datetime | None) -> Iterable[TaskAnswers]:
        """Tasks changed at or after `since` (all when None), each with all its answers, skipped and
        empty ones too.

        A task's time moves when an answer of it is given, changed or deleted. Classes are those of
        the last `check` or `ensure_project`, before any those of the label config. Tasks that
        somebody else put into the project are left out.
        """
        classes = self._known_classes(project_id)
        filters = []
        if since is not None:
            filters = [_filter("updated_at", "greater_or_equal", "Datetime", format_time(since))]
        for task in self._tasks("reading answers", project_id, filters, ANSWER, "all"):
            if KEY in task["data"]:
                yield self._answers(task, classes)

    def prioritize(self, project_id: int, priorities: Mapping[int, float]) -> None:
        """Gives tasks, by their ids, other priorities; those that are gone are left out.

        The tab of what is to label follows, and who labels tasks as they are displayed. Who labels all
        tasks gets them in the order in which they were made.
        """
        for chunk in _portions([*priorities]):
            wanted = [_filter("id", "in_list", "Number", chunk)]
            found = [*self._tasks("looking for tasks to move", project_id, wanted, "id,data", "task_only")]
            with self._asking("the priority of a task", project_id) as client:
                for task in found:
                    data = {**task["data"], PRIORITY: shown_priority(priorities[int(task["id"])])}
                    client.tasks.update(str(task["id"]), data=data, request_options=WRITE)

    def say_of_tasks(self, project_id: int, name: str, texts: Mapping[int, str]) -> int:
        """What tasks, by their ids, say under this name in their data; those that are gone are left out.
        How many said something else before.
        """
        changed = 0
        for chunk in _portions([*texts]):
            wanted = [_filter("id", "in_list", "Number", chunk)]
            found = [*self._tasks("looking at what tasks say", project_id, wanted, "id,data", "task_only")]
            others = [task for task in found if task["data"].get(name) != texts[int(task["id"])]]
            with self._asking("what a task says", project_id) as client:
                for task in others:
                    data = {**task["data"], name: texts[int(task["id"])]}
                    client.tasks.update(str(task["id"]), data=data, request_options=WRITE)
            changed += len(others)
        return changed

    def keep_tabs(self, project_id: int, name: str, titles: Mapping[str, str]) -> int:
        """A tab for each of these marks, of the tasks whose data hold the mark under this name; tabs of
        other marks are taken away, those of people stay. How many were made, named otherwise or taken
        away.
        """
        changed, lacking = 0, dict(titles)
        with self._asking("the tabs", project_id) as client:
            for view in client.views.list(project=project_id):
                mark = config.mark_of_tab(view.data or {}, name)
                title = None if mark is None else lacking.pop(mark, None)
                if mark is None or (title is not None and view.data["title"] == title):
                    continue
                if title is None:
                    client.views.delete(str(view.id), request_options=WRITE)
                else:
                    data = config.tab_of_mark(title, name, mark)
                    client.views.update(str(view.id), project=project_id, data=data, request_options=WRITE)
                changed += 1
            for mark, title in lacking.items():
                data = config.tab_of_mark(title, name, mark)
                client.views.create(project=project_id, data=data, request_options=WRITE)
        return changed + len(lacking)

    def remove(self, project_id: int, task_ids: Sequence[int]) -> None:
        """Deletes those of these tasks that nobody has answered, skipped or begun; the others stay."""
        include = "id,data,annotations,drafts,total_annotations,cancelled_annotations"
        for chunk in _portions(task_ids):
            wanted = [_filter("id", "in_list", "Number", chunk)]
            found = [*self._tasks("looking for tasks to delete", project_id, wanted, include, "all")]
            untouched = [task["id"] for task in found if not task["annotations"] and not task["drafts"]]
            with self._asking("deleting a task", project_id) as client:
                for task_id in untouched:
                    client.tasks.delete(str(task_id), request_options=WRITE)

    def _heard(self, response: httpx.Response) -> None:
        self._clock = time_of(response)

    @contextmanager
    def _asking(self, what: str, project_id: int | None = None) -> Iterator[Any]:
        with translated(self.url, what, project_id):
            yield self._client

    def _image_way(self, images: str, document_root: Path | None) -> Images:
        if images == "upload":
            return Uploads(self._asking)
        if document_root is None:
            raise LabelStudioError(
                "expected document_root, the folder that Label Studio serves, with images: local_files, got"
                " none; next: give it, or use images: upload"
            )
        return LocalFiles(self._asking, document_root)

    def _get(self, project_id: int) -> Json:
        with self._asking("the project", project_id) as client:
            project: Json = client.projects.get(project_id).model_dump()
        return project

    def _require(self, project: Json, classes: Sequence[str]) -> None:
        where = f"project {project['id']} at {self.url}"
        config.compare(project["parsed_label_config"] or {}, classes, where, self._names)

    def _abandoned(self, title: str, xml: str, description: str) -> int | None:
        with self._asking("the list of projects") as client:
            listed = [*client.projects.list(title=title, page_size=PAGE)]
        wanted = (title, description, xml, 0)
        same = (p.id for p in listed if (p.title, p.description, p.label_config, p.task_number) == wanted)
        return min(same, default=None)

    def _renew(self, project: Json, instructions: str) -> None:
        """Brings to the present what labelers read and are asked; all else stays as people made it."""
        xml, number = str(project["label_config"]), project["id"]
        asking = config.with_question(xml, self._ask_occlusion)
        told = with_instructions(str(project["expert_instruction"] or ""), instructions)
        wanted: Json = {"label_config": asking} if asking != xml else {}
        if told != (project["expert_instruction"] or ""):
            wanted |= {"expert_instruction": told, "show_instruction": bool(told)}
        if wanted:
            with self._asking("what labelers are told", number) as client:
                client.projects.update(number, **wanted, request_options=WRITE)
        if project["model_version"] not in (None, "", VERSION):
            self._one_version(number)

    def _create(self, title: str, xml: str, description: str) -> int:
        with self._asking("a new project") as client:
            made = client.projects.create(
                title=title,
                description=description,
                label_config=xml,
                show_collab_predictions=True,
                sampling="Sequential sampling",
                maximum_annotations=1,
                request_options=WRITE,
            )
        return int(made.id)

    def _ensure_tabs(self, project_id: int) -> None:
        with self._asking("the tabs", project_id) as client:
            present = {(view.data or {}).get("title") for view in client.views.list(project=project_id)}
            for tab in config.tabs():
                if tab["title"] not in present:
                    client.views.create(project=project_id, data=tab, request_options=WRITE)

    def _tasks(
        self, what: str, project_id: int, filters: Sequence[Json], include: str, fields: str
    ) -> Iterator[Json]:
        """Tasks in id order, paged by the last id: numbered pages shift while people work, and the
        SDK's pager takes a project that was deleted meanwhile for the end of the list.
        """
        last = 0
        while True:
            items = [*filters, _filter("id", "greater", "Number", last)]
            query = {"filters": {"conjunction": "and", "items": items}, "ordering": ["tasks:id"]}
            with self._asking(what, project_id) as client:
                pager = client.tasks.list(
                    project=project_id,
                    query=json.dumps(query),
                    include=include,
                    fields=fields,
                    page_size=PAGE,
                )
            page = [task.model_dump() for task in pager.items or ()]
            yield from page
            if len(page) < PAGE:
                return
            last = page[-1]["id"]

    def _as_they_call(self, task: LabelTask) -> LabelTask:
        return replace(task, predictions=renamed(task.predictions, self._names)) if self._names else task

    def _answers(self, task: Json, classes: Sequence[str]) -> TaskAnswers:
        """A class is known by the name that labelers have for it, and by the model's."""
        known = [*classes, *(self._names[one] for one in classes if one in self._names)]
        given = [
            parse_annotation(raw, task, known, self._author(raw.get("completed_by"), raw["id"]))
            for raw in task["annotations"]
        ]
        given = [replace(one, boxes=renamed(one.boxes, self._ours)) for one in given]
        return TaskAnswers(int(task["id"]), str(task["data"][KEY]), parse_time(task["updated_at"]), given)

    def _known_classes(self, project_id: int) -> tuple[str, ...]:
        if project_id not in self._classes:
            parsed = self._get(project_id)["parsed_label_config"] or {}
            there = config.configured_classes(parsed) or ()
            self._classes[project_id] = tuple(self._ours.get(name, name) for name in there)
        return self._classes[project_id]

    def _import(
        self, project_id: int, payload: list[Json], made: dict[str, int], refused: dict[str, str]
    ) -> None:
        """One request; a refused one is halved until the culprit stands alone."""
        keys = [str(item["data"][KEY]) for item in payload]
        try:
            with self._asking(f"{len(payload)} new tasks", project_id) as client:
                answer = client.projects.import_tasks(
                    id=project_id, request=payload, return_task_ids=True, request_options=WRITE
                )
            made.update(zip(keys, answer.task_ids or (), strict=True))
        except Rejected as error:
            if len(payload) == 1:
                refused[keys[0]] = str(error)
                return
            half = len(payload) // 2
            for part in (payload[:half], payload[half:]):
                self._import(project_id, part, made, refused)

    def _one_version(self, project_id: int) -> None:
        """Gives all boxes that were drawn under a model's name the one version: only those of the
        project's version are shown to who labels one task after the other.
        """
        waiting = self._tasks("boxes drawn before", project_id, config.NOTHING_YET, "id,predictions", "all")
        drawn = [one for task in waiting for one in task["predictions"] or ()]
        with self._asking("the version of drawn boxes", project_id) as client:
            for one in drawn:
                if one["model_version"] != VERSION:
                    client.predictions.update(one["id"], model_version=VERSION, request_options=WRITE)
            # Without boxes it takes none; the first that are imported give it theirs.
            version = VERSION if drawn else ""
            client.projects.update(project_id, model_version=version, request_options=WRITE)

    def _author(self, user_id: object, answer: int) -> str:
        """Users that were deleted are not one person."""
        if not isinstance(user_id, int):
            return f"deleted user of answer {answer}"
        if user_id not in self._authors:
            with self._asking("the list of users") as client:
                self._authors |= {user.id: str(user.email) for user in client.users.list()}
        return self._authors.setdefault(user_id, f"user {user_id}")


def with_instructions(there: str, instructions: str) -> str:
    """Instructions with ours, HTML, in place of former ones; what a person wrote around them stays."""
    ours = f'<section class="fieldloop">\n{instructions}\n</section>' if instructions else ""
    before, *after = OURS.split(there, maxsplit=1)
    if not after and before.strip() in instructions:
        before = ""
    return "\n".join(part for part in (before.strip(), ours, *map(str.strip, after)) if part)


def _marked(description: str, mark: str) -> str:
    """The description with this mark and no other; none for ""."""
    text = MARK.sub("", description)
    return f"{text} [fieldloop {mark}]".strip() if mark else text


def _filter(column: str, operator: str, kind: str, value: object) -> Json:
    return {"filter": f"filter:tasks:{column}", "operator": operator, "type": kind, "value": value}


def _portions(ids: Sequence[int]) -> Iterator[list[int]]:
    for begin in range(0, len(ids), PAGE):
        yield list(ids[begin : begin + PAGE])


def _chunks(keys: Sequence[str]) -> Iterator[list[str]]:
    """Keys in portions that fit into one request line, also behind a proxy."""
    chunk: list[str] = []
    length = 0
    for key in dict.fromkeys(keys):
        needed = len(quote(json.dumps(key))) + 6
        if chunk and (len(chunk) == QUERY_KEYS or length + needed > QUERY_CHARACTERS):
            yield chunk
            chunk, length = [], 0
        chunk.append(key)
        length += needed
    if chunk:
        yield chunk
