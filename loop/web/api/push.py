"""POST /api/frames: a camera hands over a frame, and asks by its hash what became of it."""

from __future__ import annotations

from typing import Annotated, Literal

from anyio import CapacityLimiter, to_thread
from fastapi import APIRouter, Header, Query, Request, Response
from pydantic import AwareDatetime, BaseModel, Field

from connectors.ports import Capture
from loop.ingest.inbox import Handed, Inbox
from loop.web.api.problems import Refused
from loop.web.site import Site

AT_ONCE = 16
"""Frames that are checked and written at once; others wait."""
HELD_BYTES = 256_000_000
"""Of frames that are being received, all together."""
SHA256 = r"^[0-9a-fA-F]{64}$"
CAMERA, SITE, SEQUENCE = 120, 120, 200
"""Characters of a name, as the tables hold them."""
KEYS = ("camera", "site", "sequence", "captured_at", "sha256")
IMAGES = ("image/jpeg", "image/png", "image/webp", "image/bmp", "application/octet-stream")
BODY = {
    "requestBody": {
        "required": True,
        "content": {kind: {"schema": {"type": "string", "format": "binary"}} for kind in IMAGES},
    }
}


class PushedFrame(BaseModel):
    """What became of a frame that was handed over."""

    sha256: str = Field(description="of the bytes as they came, 64 hex digits")
    state: Literal["waiting", "stored", "set aside"] = Field(
        description="waiting for the next ingest, stored as a frame, or set aside"
    )
    seq: int | None = Field(None, description="of the frame, once it is stored")
    reason: str | None = Field(None, description="why it was set aside")
    new: bool = Field(description="whether this request put it there")


class Held:
    """Bytes of bodies that are being received. Of the event loop alone, so it needs no lock."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._held = 0

    def take(self, count: int) -> None:
        """Raises Refused where there is no room now."""
        if self._held + count > self._most:
            raise Refused(
                503,
                "busy",
                f"expected at most {self._most:,} bytes of frames on their way at once, got more;"
                " send the frame again after a second",
                {"Retry-After": "1"},
            )
        self._held += count

    def give_back(self, count: int) -> None:
        self._held -= count


def routes(site: Site) -> APIRouter:
    """What cameras ask."""
    router = APIRouter(tags=["push of frames"])
    inbox, held, limiter = Inbox(site.project), Held(HELD_BYTES), CapacityLimiter(AT_ONCE)

    @router.post("/frames", status_code=201, openapi_extra=BODY, responses={200: {"model": PushedFrame}})
    async def push_frame(
        request: Request,
        response: Response,
        camera: Annotated[str | None, Query(max_length=CAMERA)] = None,
        site: Annotated[str | None, Query(max_length=SITE)] = None,
        sequence: Annotated[str | None, Query(max_length=SEQUENCE)] = None,
        captured_at: Annotated[
            AwareDatetime | None, Query(description="ISO 8601 with an offset, or seconds since 1970")
        ] = None,
        sha256: Annotated[
            str | None, Query(pattern=SHA256, description="of the body; one that differs is refused")
        ] = None,
        x_content_sha256: Annotated[str | None, Header(pattern=SHA256, description="likewise")] = None,
    ) -> PushedFrame:
        """Hands over a frame: its bytes as the body. 201 once it is on disk, 200 where it was there."""
        check_keys(request)
        named = (sha256 or x_content_sha256 or "").lower()
        if named and (known := await to_thread.run_sync(inbox.state_of, named, limiter=limiter)):
            if request.headers.get("expect", "").lower() != "100-continue":
                await _drain(request, inbox.max_bytes)
            response.status_code = 200
            return _shown(known)
        data = await _body(request, inbox.max_bytes, held)
        try:
            frame = Capture("", None, data, camera, site, sequence, captured_at)
            handed = await to_thread.run_sync(inbox.take, frame, named, limiter=limiter)
        finally:
            held.give_back(len(data))
        response.status_code = 201 if handed.new else 200
        return _shown(handed)

    @router.head("/frames/by-hash/{sha256}", include_in_schema=False)
    @router.get("/frames/by-hash/{sha256}")
    def pushed_frame(sha256: str) -> PushedFrame:
        """What became of a frame: ask before you send one again."""
        found = inbox.state_of(_hash(sha256))
        if found is None:
            raise Refused(404, "not-known", f"expected the hash of a frame, got {sha256:.80}; send the frame")
        return _shown(found)

    return router


def check_keys(request: Request) -> None:
    """Raises Refused for a key that is none, since a misspelled camera would be lost for good, and for
    one that comes twice.
    """
    given = [key for key, _ in request.query_params.multi_items()]
    wrong = [key for key in given if key not in KEYS or given.count(key) > 1]
    if wrong:
        raise Refused(
            422, "invalid", f"expected each of {', '.join(KEYS)} at most once, got {wrong[0]:.80}; correct it"
        )


def _hash(text: str) -> str:
    digits = text.lower()
    if len(digits) != 64 or not set(digits) <= set("0123456789abcdef"):
        raise Refused(404, "not-known", f"expected a sha256 of 64 hex digits, got {text:.80}; correct it")
    return digits


def _shown(handed: Handed) -> PushedFrame:
    return PushedFrame(
        sha256=handed.sha256,
        state=handed.state,
        seq=handed.seq,
        reason=handed.reason or None,
        new=handed.new,
    )


async def _body(request: Request, most: int, held: Held) -> bytes:
    """The whole body, counted as held; its reader gives it back. Raises Refused."""
    if (said := request.headers.get("content-length", "")).isdigit() and int(said) > most:
        raise _too_large(most, f"{int(said):,}")
    chunks: list[bytes] = []
    count = 0
    try:
        async for chunk in request.stream():
            if count + len(chunk) > most:
                raise _too_large(most, "more")
            held.take(len(chunk))
            count += len(chunk)
            chunks.append(chunk)
    except BaseException:
        held.give_back(count)
        raise
    return b"".join(chunks)


def _too_large(most: int, got: str) -> Refused:
    return Refused(
        413,
        "too-large",
        f"expected a frame of at most {most:,} bytes, got {got}; scale it down, or raise frames.max_bytes",
    )


async def _drain(request: Request, most: int) -> None:
    """Takes the body off the wire, so that its sender reads the answer rather than a broken pipe."""
    count = 0
    async for chunk in request.stream():
        count += len(chunk)
        if count > most:
            return
