"""Collections as people make and change them: by rule, by sentence, by example."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy.orm import Session

from connectors.ports import Progress
from db.engine import write
from db.slices import (
    NAME_LENGTH,
    NewSlice,
    define_slices,
    name_slice,
    restore_slice,
    retire_slice,
    slice_by_id,
    slices,
)
from db.states import SliceKind, WorkKind
from loop.base.errors import ConfigError
from loop.changes.asking import ask
from loop.changes.audit import Who, note
from loop.changes.collection_definitions import by_examples, by_rules, by_sentence, by_set, known_frames
from loop.gaps.collections import OF_COLLECTIONS, Collection, one_defined
from loop.gaps.slices import hold_collections, record_collection
from loop.insights.frame_query import FrameQuery
from loop.project.wiring import Parts
from loop.selection.collected import given_quotas
from loop.settings.collections import (
    Definition,
    Rule,
    quota_in_words,
    stored_rule,
)
from loop.settings.types import is_quota


def quiet(done: int, total: int, what: str) -> None:
    """Nobody waits for a word."""


def make(parts: Parts, who: Who, name: str, definition: Definition, progress: Progress = quiet) -> int:
    """The id of a new collection, of which the frames are gathered at once. Raises ConfigError for a name
    that is taken or too long.
    """
    with write(parts.project.engine) as session:
        number, _ = _made(session, who, name, definition)
    record_collection(parts, number, progress)
    return number


def make_soon(parts: Parts, who: Who, name: str, definition: Definition) -> int:
    """The same, gathered in the background; the number of that work. Raises ConfigError."""
    with write(parts.project.engine) as session:
        _, work = _made(session, who, name, definition, soon=True)
    return work


def make_by_rules(
    parts: Parts, who: Who, name: str, rules: Sequence[Rule], progress: Progress = quiet
) -> int:
    """The id of a new collection of the frames of which any of these rules holds. Raises ConfigError."""
    return make(parts, who, name, by_rules(parts, rules), progress)


def make_by_sentence(parts: Parts, who: Who, name: str, text: str, progress: Progress = quiet) -> int:
    """The id of a new collection of the frames that a sentence describes, by CLIP. Raises ConfigError."""
    return make(parts, who, name, by_sentence(parts, text), progress)


def make_by_examples(
    parts: Parts,
    who: Who,
    name: str,
    seqs: Iterable[int],
    alike: bool = True,
    progress: Progress = quiet,
) -> int:
    """The id of a new collection of these frames and, with `alike`, of those like them. Raises
    ConfigError.
    """
    return make(parts, who, name, by_examples(parts, seqs, alike), progress)


def make_from_frames(
    parts: Parts,
    who: Who,
    name: str,
    query_or_seqs: str | FrameQuery | Iterable[int],
    progress: Progress = quiet,
) -> int:
    """The id of a new collection of what somebody looks at. Raises ConfigError."""
    return make(parts, who, name, by_set(parts, query_or_seqs), progress)


@dataclass(frozen=True)
class Examples:
    """add: frames that are always in from now on, and that others are compared with.
    remove: frames that are examples, or excluded, no longer.
    exclude: frames that are never in.
    """

    add: frozenset[int] = frozenset()
    remove: frozenset[int] = frozenset()
    exclude: frozenset[int] = frozenset()


def change_examples(
    parts: Parts,
    who: Who,
    slice_id: int,
    *,
    add: Iterable[int] = (),
    remove: Iterable[int] = (),
    exclude: Iterable[int] = (),
    progress: Progress = quiet,
) -> int:
    """How many frames are in the collection then; as `Examples` has it. Raises ConfigError, StateError."""
    given = Examples(frozenset(add), frozenset(remove), frozenset(exclude))
    if not _checked(parts, given):
        return 0
    with write(parts.project.engine) as session:
        _with_examples(session, who, slice_id, given)
    return record_collection(parts, slice_id, progress)


def change_examples_soon(parts: Parts, who: Who, slice_id: int, given: Examples) -> int:
    """The same, gathered in the background; the number of that work. Raises ConfigError, StateError."""
    _checked(parts, given)
    with write(parts.project.engine) as session:
        work = _gathering(session, who, slice_id)
        _with_examples(session, who, slice_id, given)
    return work


@dataclass(frozen=True)
class Different:
    """What is to be different of a collection; None for what stays.

    name: "" takes a given one back. quota: 0 for none.
    """

    name: str | None = None
    judged: bool | None = None
    tab: bool | None = None
    quota: float | None = None
    retired: bool | None = None


def change(parts: Parts, who: Who, slice_id: int, wanted: Different, soon: bool = False) -> bool:
    """Makes all of it different or, where something of it cannot be, nothing; whether it was restored, so
    that `record_collection` is due, which with `soon` is asked for. Raises ConfigError, StateError.
    """
    with write(parts.project.engine) as session:
        hold_collections(session)
        one_defined(session, slice_id)
        restored = wanted.retired is False and restore_in(session, who, slice_id)
        if wanted.name is not None:
            _renamed(session, who, slice_id, wanted.name)
        if wanted.judged is not None:
            _judged(session, who, slice_id, wanted.judged)
        if wanted.tab is not None:
            _tabbed(session, who, slice_id, wanted.tab)
        if wanted.quota is not None:
            _given(session, parts, who, slice_id, wanted.quota or None)
        if wanted.retired:
            retire_in(session, who, slice_id)
        if restored and soon:
            _gathering(session, who, slice_id)
    return restored


def rename(parts: Parts, who: Who, slice_id: int, name: str) -> None:
    """Another name; "" takes a given one back. Raises ConfigError, StateError."""
    change(parts, who, slice_id, Different(name=name))


def retire(parts: Parts, who: Who, slice_id: int) -> float | None:
    """It is no longer kept up to date nor judged; its history stays. The quota that people gave it, which
    is dropped, None where there is none. Raises StateError.
    """
    with write(parts.project.engine) as session:
        return retire_in(session, who, slice_id)


def restore(
    parts: Parts, who: Who, slice_id: int, progress: Progress = quiet, quota: float | None = None
) -> int:
    """Takes `retire` back, with the quota that it dropped; how many frames are in it. Raises ConfigError
    where its name or the share is taken meanwhile, StateError.
    """
    change(parts, who, slice_id, Different(retired=False, quota=quota))
    return record_collection(parts, slice_id, progress)


def set_judged(parts: Parts, who: Who, slice_id: int, judged: bool) -> None:
    """Whether rounds judge it and the evaluation draw looks for it. Raises StateError."""
    change(parts, who, slice_id, Different(judged=judged))


def set_tab(parts: Parts, who: Who, slice_id: int, tab: bool) -> None:
    """Whether it is a tab in Label Studio, from the next push on. Raises StateError."""
    change(parts, who, slice_id, Different(tab=tab))


def set_quota(parts: Parts, who: Who, slice_id: int, quota: float | None) -> None:
    """How much of each batch is of it from now on: a share below 1 or a number of frames, None for none.

    Raises ConfigError for what is neither, for shares of more than 1 together, where the settings say it
    or it is retired; StateError.
    """
    change(parts, who, slice_id, Different(quota=quota or 0.0))


def retire_in(session: Session, who: Who, slice_id: int) -> float | None:
    """As `retire`, in a transaction of the caller."""
    hold_collections(session)
    one = one_defined(session, slice_id)
    quota = one.definition.quota
    if not retire_slice(session, slice_id):
        return None
    before: dict[str, Any] = {"retired": False}
    after: dict[str, Any] = {"retired": True}
    if quota is not None:
        define_slices(session, [OF_COLLECTIONS, _with(one, replace(one.definition, quota=None))])
        before, after = before | {"quota": quota}, after | {"quota": None}
    note(session, who, "collection retired", _subject(slice_id), before, after)
    return quota


def restore_in(session: Session, who: Who, slice_id: int) -> bool:
    """Looked for again, in a transaction of the caller; False where it was. Raises ConfigError where its
    name is taken meanwhile.
    """
    hold_collections(session)
    free_name(session, slice_by_id(session, slice_id).name, but=slice_id)
    restored = restore_slice(session, slice_id)
    if restored:
        changed = {"retired": True}, {"retired": False}
        note(session, who, "collection restored", _subject(slice_id), *changed)
    return restored


def _renamed(session: Session, who: Who, slice_id: int, name: str) -> None:
    was = slice_by_id(session, slice_id)
    now = free_name(session, name or was.defined_name, but=slice_id)
    name_slice(session, slice_id, None if now == was.defined_name else now)
    note(session, who, "collection renamed", _subject(slice_id), {"name": was.name}, {"name": now})


def _judged(session: Session, who: Who, slice_id: int, judged: bool) -> None:
    what = "collection judged" if judged else "collection judged no longer"
    _redefined(session, who, slice_id, what, lambda was: replace(was, judged=judged))


def _tabbed(session: Session, who: Who, slice_id: int, tab: bool) -> None:
    what = "tab of a collection wanted" if tab else "tab of a collection wanted no longer"
    _redefined(session, who, slice_id, what, lambda was: replace(was, tab=tab))


def _given(session: Session, parts: Parts, who: Who, slice_id: int, quota: float | None) -> None:
    settings = parts.project.settings.select.quotas
    rows = slices(session, [SliceKind.COLLECTION])
    row, quotas = slice_by_id(session, slice_id), given_quotas(rows, settings)
    mine = quotas.pop(slice_id, None)
    if mine is not None and mine.by_settings:
        raise ConfigError(
            f"quota: expected a collection that select.quotas does not name, got {row.name!r} with"
            f" {quota_in_words(mine.value)}; what fieldloop.yaml says holds, so change it there"
        )
    if quota is not None and row.retired_at is not None:
        raise ConfigError(f"quota: expected a collection in use, got {row.name!r}, retired; restore it first")
    if quota is not None and not is_quota(quota):
        raise ConfigError(f"quota: expected a share below 1 or a whole number of frames, got {quota:g}")
    others = sum(one.value for one in quotas.values() if one.value < 1)
    if quota is not None and quota < 1 and others + quota > 1 + 1e-9:
        raise ConfigError(
            f"quota: expected shares of at most 100 % of a batch together, got {quota_in_words(quota)} beside"
            f" {100 * others:.4g} % of other collections; give less, or take some of theirs"
        )
    what = "quota of a collection set" if quota else "quota of a collection cleared"
    _redefined(session, who, slice_id, what, lambda was: replace(was, quota=quota))


def _made(
    session: Session, who: Who, name: str, definition: Definition, soon: bool = False
) -> tuple[int, int]:
    """(the id of the collection, the number of the work that gathers it; 0 where that is not asked for)."""
    key = f"{OF_COLLECTIONS.key}/own-{secrets.token_hex(6)}"
    cleaned = free_name(session, name)
    made = Collection(key, cleaned, definition).as_slice()
    number = define_slices(session, [OF_COLLECTIONS, made])[key]
    work = _gathering(session, who, number) if soon else 0
    note(session, who, "collection made", _subject(number), {}, {"name": cleaned, **_told(definition)})
    return number, work


def _gathering(session: Session, who: Who, slice_id: int) -> int:
    """Asks for its frames. Raises StateError."""
    name = slice_by_id(session, slice_id).name
    return ask(session, who, WorkKind.GATHER, f"gather {name}", collection=slice_id)


def _checked(parts: Parts, given: Examples) -> tuple[int, ...]:
    if both := sorted(given.add & given.exclude):
        raise ConfigError(f"collection: expected frames to add or to exclude, got both for {both[0]}")
    return known_frames(parts, given.add | given.exclude | given.remove)


def _with_examples(session: Session, who: Who, slice_id: int, given: Examples) -> None:
    def changed(was: Definition) -> Definition:
        examples = (set(was.examples) | given.add) - given.remove - given.exclude
        excluded = (set(was.excluded) | given.exclude) - given.remove - given.add
        return replace(was, examples=tuple(sorted(examples)), excluded=tuple(sorted(excluded)))

    told = {name: sorted(seqs) for name, seqs in vars(given).items()}
    hold_collections(session)
    _redefined(session, who, slice_id, "examples of a collection changed", changed, told)


def _redefined(
    session: Session,
    who: Who,
    slice_id: int,
    what: str,
    changed: Callable[[Definition], Definition],
    after: dict[str, Any] | None = None,
) -> None:
    one = one_defined(session, slice_id)
    now = changed(one.definition)
    if now == one.definition:
        return
    define_slices(session, [OF_COLLECTIONS, _with(one, now)])
    before, told = _told(one.definition), _told(now)
    different = {name for name in told if told[name] != before[name]}
    note(
        session,
        who,
        what,
        _subject(slice_id),
        {name: before[name] for name in different} if after is None else {},
        {name: told[name] for name in different} if after is None else after,
    )


def _with(one: Collection, definition: Definition) -> NewSlice:
    return replace(one, definition=definition).as_slice()


def _told(definition: Definition) -> dict[str, Any]:
    """Of a definition, what the audit log keeps."""
    return {
        "rules": [stored_rule(rule) for rule in definition.rules],
        "examples": list(definition.examples),
        "excluded": list(definition.excluded),
        "alike": definition.alike,
        "judged": definition.judged,
        "tab": definition.tab,
        "quota": definition.quota,
    }


def _subject(slice_id: int) -> str:
    return f"collection {slice_id}"


def free_name(session: Session, name: str, but: int | None = None) -> str:
    """The name cleaned. Raises ConfigError where it is empty, too long, or another collection's."""
    cleaned = " ".join("".join(c if c.isprintable() else " " for c in name).split())
    if not cleaned or len(cleaned) > NAME_LENGTH:
        raise ConfigError(
            f"collection: expected a name of 1 to {NAME_LENGTH} characters, got {len(cleaned)}; give another"
        )
    if cleaned.isdecimal():
        raise ConfigError(f"collection: expected a name that is no number, got {cleaned}; add a word")
    for row in slices(session, [SliceKind.COLLECTION]):
        if row.id != but and row.retired_at is None and row.name.casefold() == cleaned.casefold():
            raise ConfigError(
                f"collection: expected a name of its own, got {cleaned!r}, which is that of collection"
                f" {row.id}; give another, or retire that one"
            )
    return cleaned
