"""What NAS systems and desktops keep beside files: thumbnails, bins and snapshots, never frames."""

from __future__ import annotations

FOLDERS = frozenset(
    [
        "@eadir",
        "@recycle",
        "@recently-snapshot",
        "@sharebin",
        "@tmp",
        "@transcode",
        "@upload_cache",
        "@synologydrive",
        "#recycle",
        "#snapshot",
        "~snapshot",
        "$recycle.bin",
        "recycler",
        "recycled",
        "system volume information",
        "found.000",
        "lost+found",
        "network trash folder",
        "temporary items",
        "__macosx",
    ]
)
"""Of Synology, QNAP, NetApp, Windows, Linux and macOS, in small letters; hidden ones need no entry."""
FILES = (
    "synophoto_thumb",
    "synofile_thumb",
    "synoindex_media_info",
    "thumbs.db",
    "ehthumbs.db",
    "desktop.ini",
)
"""What names of such files begin with, in small letters."""


def is_litter(name: str) -> bool:
    """Whether a file or a folder of this name is no frame and holds none."""
    small = name.lower()
    return small in FOLDERS or small.startswith(FILES)
