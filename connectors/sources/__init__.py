"""Where frames come from: folders and videos."""

from __future__ import annotations

from pathlib import Path

from connectors.errors import SourceError
from connectors.ports import FrameSource
from connectors.sources.folder import FolderSource
from connectors.sources.metadata import Defaults, camera_day
from connectors.sources.video import VIDEO_SUFFIXES, VideoSource

__all__ = ["Defaults", "FolderSource", "VideoSource", "camera_day", "open_source"]


def open_source(
    path: Path,
    pattern: str | None = None,
    defaults: Defaults | None = None,
    every_s: float = 1.0,
    settle_s: float = 2.0,
) -> FrameSource:
    """The source that fits a path: a folder of images, or one video. Raises SourceError when it is neither."""
    if path.is_dir():
        return FolderSource(path, pattern, defaults=defaults or Defaults(), settle_s=settle_s)
    if path.suffix.lower() in VIDEO_SUFFIXES and path.is_file():
        return VideoSource(path, every_s, defaults or Defaults(), pattern)
    raise SourceError(
        f"expected a folder of images or a video ({', '.join(sorted(VIDEO_SUFFIXES))}), got {path}"
    )
