"""Two ways in which an image reaches a labeler's browser: served from a local folder, or copied to
the server.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import quote

from connectors.errors import LabelStudioError
from connectors.label_studio.client import WRITE, post_files


class Asking(Protocol):
    """`with asking(what, project_id) as client:` gives the SDK's client and translates what goes
    wrong.
    """

    def __call__(self, what: str, project_id: int | None = None) -> AbstractContextManager[Any]: ...


class Images(Protocol):
    """Makes images visible to a project."""

    def urls(self, project_id: int, images: Sequence[Path]) -> list[str]:
        """One URL per image for the task's data; at most 100 images."""


class LocalFiles:
    """Images below the document root that the server was started with; nothing is copied."""

    def __init__(self, asking: Asking, document_root: Path) -> None:
        self._asking = asking
        self._root = document_root.resolve()

    def urls(self, project_id: int, images: Sequence[Path]) -> list[str]:
        relative = [self._relative(image) for image in images]
        self._ensure_storages(project_id, {str(self._root / path.parts[0]) for path in relative})
        return [f"/data/local-files/?d={quote(path.as_posix())}" for path in relative]

    def _relative(self, image: Path) -> Path:
        for path in (image.absolute(), image.resolve()):
            if path.is_relative_to(self._root) and ".." not in path.parts:
                relative = path.relative_to(self._root)
                if len(relative.parts) > 1:
                    return relative
        raise LabelStudioError(
            f"expected an image in a folder below {self._root}, which Label Studio serves, got {image}; "
            "next: start Label Studio with a document root above the images, or use images: upload"
        )

    def _ensure_storages(self, project_id: int, folders: set[str]) -> None:
        """Label Studio shows a local file only below a storage of its project. Its pattern fits no
        file, so that a click on Sync makes no tasks.
        """
        with self._asking("the storages", project_id) as client:
            present = {storage.path for storage in client.import_storage.local.list(project=project_id)}
        for path in sorted(folders - present):
            what = f"a storage for {path} (it must serve local files, with a document root above this folder)"
            with self._asking(what, project_id) as client:
                client.import_storage.local.create(
                    project=project_id,
                    path=path,
                    title="fieldloop images (do not sync)",
                    regex_filter="(?!)",
                    use_blob_urls=True,
                    request_options=WRITE,
                )


class Uploads:
    """Copies of the images, kept by the server."""

    def __init__(self, asking: Asking) -> None:
        self._asking = asking

    def urls(self, project_id: int, images: Sequence[Path]) -> list[str]:
        files = {
            f"file{i}": (f"{i:03d}{image.suffix.lower()}", image.read_bytes())
            for i, image in enumerate(images)
        }
        with self._asking("uploaded images", project_id) as client:
            answer = post_files(
                client, f"api/projects/{project_id}/import", files, {"commit_to_project": "false"}
            )
            uploads = [int(upload) for upload in answer["file_upload_ids"]]
            listed = client.files.list(project_id, ids=json.dumps(uploads))
        names = {upload.id: str(upload.file) for upload in listed}
        stored = [names.get(upload, "") for upload in uploads]
        if len(stored) != len(images) or not all(
            name.endswith(sent[0]) for name, sent in zip(stored, files.values(), strict=True)
        ):
            raise LabelStudioError(
                f"expected {len(images)} uploaded images in order, got {stored}; next: use images:"
                " local_files"
            )
        return [f"/data/{quote(name)}" for name in stored]
