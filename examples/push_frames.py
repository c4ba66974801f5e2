"""Pushes the pictures of a folder to a running `fieldloop serve`, as a camera would; needs nothing but
Python.

    FIELDLOOP_WEB_TOKEN=... python push_frames.py http://box:8765 /mnt/gate --camera gate --site hall

It may be stopped and run again: what is there already is not sent again.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

PICTURES = {".jpg", ".jpeg", ".png", ".webp", ".bmp"}
LATER = {429, 502, 503, 504, 507}
"""What a server answers that will be well again."""
TRIES = 8


def main(arguments: list[str] | None = None) -> int:
    """The exit code: 1 when a frame was refused or could not be sent."""
    options = _options(arguments)
    counts: dict[str, int] = {}
    for path in pictures(options.folder):
        told = push(options.url, path, camera=options.camera, site=options.site)
        counts[told] = counts.get(told, 0) + 1
    print(json.dumps(counts, sort_keys=True))
    return int("refused" in counts)


def pictures(folder: Path) -> Iterator[Path]:
    """Those below a folder, in order of their names."""
    yield from sorted(path for path in folder.rglob("*") if path.suffix.lower() in PICTURES)


def push(url: str, path: Path, **said: str) -> str:
    """sent, known or refused. Tries again while the server is away or full."""
    data = path.read_bytes()
    sha256 = hashlib.sha256(data).hexdigest()
    if ask("GET", f"{url}/api/frames/by-hash/{sha256}")[0] == 200:
        return "known"
    taken = datetime.fromtimestamp(path.stat().st_mtime, UTC).isoformat()
    query = urllib.parse.urlencode(
        {"sha256": sha256, "captured_at": taken} | {k: v for k, v in said.items() if v}
    )
    status, body = ask("POST", f"{url}/api/frames?{query}", data)
    if status in (200, 201):
        return "sent" if body["new"] else "known"
    print(f"{path}: {body['detail']}", file=sys.stderr)
    return "refused"


def ask(method: str, url: str, data: bytes | None = None) -> tuple[int, dict[str, Any]]:
    """(status, JSON body). Raises SystemExit when the server stays away."""
    headers = {"Content-Type": "application/octet-stream"} if data is not None else {}
    if token := os.environ.get("FIELDLOOP_WEB_TOKEN"):
        headers["Authorization"] = f"Bearer {token}"
    why: object = ""
    for wait_s in [0.5 * 2**number for number in range(TRIES)]:
        request = urllib.request.Request(url, data, headers, method=method)  # noqa: S310 - the user names it
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            body = _problem(error)
            if error.code not in LATER:
                return error.code, body
            why = body["detail"]
        except (urllib.error.URLError, ConnectionError, TimeoutError) as error:
            why = error
        time.sleep(wait_s)
    sys.exit(
        f"expected {url} to take the frame, got: {why}; start it, then run this again: it goes on from here"
    )


def _problem(error: urllib.error.HTTPError) -> dict[str, Any]:
    text = error.read().decode("utf-8", "replace")
    try:
        return dict(json.loads(text))
    except ValueError:
        return {"detail": text}


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("url", help="of the service, such as http://127.0.0.1:8765")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--camera", default="", help="the camera of all of them")
    parser.add_argument("--site", default="", help="likewise its site")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
