"""Our own Label Studio server, started for a project."""

from __future__ import annotations

from connectors.label_studio.server import ServerInfo, start
from connectors.ports import Progress
from loop.project.project import home
from loop.project.wiring import Parts


def start_label_studio(parts: Parts, progress: Progress) -> ServerInfo:
    """Our own server for this project. Raises LabelStudioError."""
    project = parts.project
    project.store.mkdir(parents=True, exist_ok=True)
    return start(project.label_studio, project.store, home(), project.settings.label_studio.port, progress)
