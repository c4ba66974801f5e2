"""A project: one folder with a configuration, a database and everything derived from them."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from sqlalchemy import Engine
from sqlalchemy.engine import make_url

from db.engine import open_database, read
from db.facts import get_fact
from loop.base.errors import ProjectError
from loop.settings.settings import Settings, load_settings

CONFIG_NAME = "fieldloop.yaml"


@dataclass(frozen=True)
class Project:
    """root: the folder.
    settings: validated.
    engine: the open database.
    """

    root: Path
    settings: Settings
    engine: Engine

    @property
    def store(self) -> Path:
        """Every ingested image, by content hash."""
        return self.root / "store"

    @property
    def models(self) -> Path:
        return self.root / "models"

    @property
    def thumbnails(self) -> Path:
        """Small pictures of stored images, by content hash."""
        return self.root / "thumbs"

    @property
    def deployed_weights(self) -> Path:
        """For other programs: always the bytes of the deployed model, swapped atomically."""
        return self.models / "deployed.pt"

    @cached_property
    def classes(self) -> tuple[str, ...]:
        """Class names by id, the same in training set and detector."""
        with read(self.engine) as session:
            return tuple(json.loads(get_fact(session, "classes") or "[]"))

    @property
    def indexes(self) -> Path:
        return self.root / "index"

    @property
    def datasets(self) -> Path:
        return self.root / "datasets"

    @property
    def rounds(self) -> Path:
        return self.root / "rounds"

    @property
    def folds(self) -> Path:
        """Models that judge labels they were not trained on; they can be trained again."""
        return self.root / "folds"

    @property
    def pages(self) -> Path:
        return self.root / "pages"

    @property
    def logs(self) -> Path:
        """What `fieldloop serve` says, the newest in serve.log."""
        return self.root / "logs"

    @property
    def label_studio(self) -> Path:
        """Data of our own Label Studio server."""
        return self.root / "labelstudio"


def open_project(root: Path, new: bool = False) -> Project:
    """The project in `root`.

    new: its database is being made; otherwise a missing or empty one is refused.
    Raises ProjectError when there is none, ConfigError when its YAML is wrong, StateError when its
    database cannot be opened.
    """
    path = root / CONFIG_NAME
    if not path.is_file():
        raise ProjectError(
            f"expected a project in {root} (a {CONFIG_NAME}), found none; make one with `fieldloop init DIR"
            " --dataset data.yaml --weights best.pt --frames PATH` or name one with --project"
        )
    settings = load_settings(path)
    return Project(root.resolve(), settings, open_database(database_url(root, settings), create=new))


def database_url(root: Path, settings: Settings) -> str:
    return settings.database_url or f"sqlite:///{root.resolve() / 'fieldloop.db'}"


def public_database_url(project: Project) -> str:
    """The database's address without its password; a file's path is shown as it is."""
    url = make_url(database_url(project.root, project.settings))
    if url.get_backend_name() == "sqlite":
        return f"{url.drivername}:///{url.database or ''}"
    return url.render_as_string(hide_password=True)


def home(environment: Mapping[str, str] = os.environ) -> Path:
    """Where what all projects share lies: the Label Studio environment, unpacked assets."""
    if "FIELDLOOP_HOME" in environment:
        return Path(environment["FIELDLOOP_HOME"]).expanduser()
    data = environment.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    return Path(data) / "fieldloop"
