"""Who sits at the browser: a signed cookie, and the token that ties each form to it.

Nothing is kept on our side but a key and the sessions that were signed out, so a session outlives a
restart. A new token ends all of them.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from itsdangerous import BadData, URLSafeTimedSerializer

from connectors.files import write_atomically

DAYS = 30
SECONDS = DAYS * 86400
LONGEST_NAME = 80
KEY_BYTES = 32


@dataclass(frozen=True)
class Session:
    """One browser.

    id: random; forms are tied to it.
    entered: whether the token was given.
    name: what the person calls themselves, "" for nothing.
    """

    id: str
    entered: bool = False
    name: str = ""


@dataclass(frozen=True)
class Flash:
    """What a page says once, after a change.

    undo: the address of the form that takes it back, "" for none; fields: what that form sends.
    """

    text: str
    undo: str = ""
    fields: tuple[tuple[str, str], ...] = ()


def new_session(entered: bool = False, name: str = "") -> Session:
    return Session(secrets.token_urlsafe(16), entered, cleaned_name(name))


def cleaned_name(name: str) -> str:
    """On one line, at most LONGEST_NAME letters."""
    return " ".join(name.split())[:LONGEST_NAME]


class Ended:
    """Sessions that were signed out, kept in a file while their cookies could still be sent."""

    def __init__(self, path: Path | None = None) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._ended = {} if path is None else _ended_in(path)

    def __contains__(self, session_id: str) -> bool:
        return session_id in self._ended

    def add(self, session_id: str) -> None:
        """It stays ended over restarts, unless the file cannot be written."""
        now = int(time.time())
        with self._lock:
            self._ended[session_id] = now
            self._ended = {one: at for one, at in self._ended.items() if now - at <= SECONDS}
            if self._path is not None:
                lines = "".join(f"{one} {at}\n" for one, at in self._ended.items())
                with suppress(OSError):
                    write_atomically(self._path, lines, private=True)


def _ended_in(path: Path) -> dict[str, int]:
    try:
        pairs = [line.split() for line in path.read_text("utf-8", "replace").splitlines()]
    except OSError:
        return {}
    return {pair[0]: int(pair[1]) for pair in pairs if len(pair) == 2 and pair[1].isdecimal()}


class Signer:
    """Signs sessions, flash lines and form tokens with one key.

    cookie: the session cookie's name. It differs from project to project, since cookies of
    localhost are shared by all ports.
    """

    def __init__(self, key: bytes, token: str = "", ended: Ended | None = None) -> None:
        self.ended = ended or Ended()
        self._key = hmac.digest(key, token.encode(), "sha256")
        self.cookie = f"fieldloop_{hashlib.sha256(key).hexdigest()[:8]}"
        self.flash_cookie = f"{self.cookie}_said"

    def cookie_of(self, session: Session) -> str:
        return self._serializer("session").dumps([session.id, int(session.entered), session.name])

    def session_of(self, cookie: str) -> Session | None:
        """None for a cookie that is not ours, older than DAYS, or of a session that was signed out."""
        found = self._loaded("session", cookie, SECONDS)
        return (
            None
            if found is None or str(found[0]) in self.ended
            else Session(str(found[0]), bool(found[1]), str(found[2]))
        )

    def cookie_of_flash(self, flash: Flash) -> str:
        return self._serializer("flash").dumps(
            [flash.text, flash.undo, [list(pair) for pair in flash.fields]]
        )

    def flash_of(self, cookie: str) -> Flash | None:
        found = self._loaded("flash", cookie, 600)
        if found is None:
            return None
        return Flash(found[0], found[1], tuple((str(name), str(value)) for name, value in found[2]))

    def form_token(self, session: Session) -> str:
        """What every form of this session carries."""
        return hmac.new(self._key, b"form " + session.id.encode(), "sha256").hexdigest()

    def fits(self, session: Session, form_token: str) -> bool:
        expected = self.form_token(session).encode()
        return hmac.compare_digest(expected, form_token.encode("utf-8", "replace"))

    def _serializer(self, what: str) -> URLSafeTimedSerializer:
        return URLSafeTimedSerializer(self._key, salt=what, signer_kwargs={"digest_method": hashlib.sha256})

    def _loaded(self, what: str, cookie: str, seconds: int) -> Any:
        try:
            return self._serializer(what).loads(cookie, max_age=seconds)
        except BadData:
            return None


def kept_key(path: Path) -> bytes:
    """The key in that file, made at the first start; one for this process alone where it cannot be kept."""
    try:
        key = bytes.fromhex(path.read_text("ascii"))
        if len(key) == KEY_BYTES:
            return key
    except (OSError, ValueError):
        pass
    key = secrets.token_bytes(KEY_BYTES)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, key.hex(), private=True)
    except OSError:
        pass
    return key
