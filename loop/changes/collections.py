"""Collections as people make and change them: by rule, by sentence, by example."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlencode

from sqlalchemy.orm import Session

from connectors.ports import Progress
from db.engine import read, write
from db.frames import frames
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
from db.states import SliceKind
from loop.base.errors import ConfigError
from loop.base.wording import listed
from loop.changes.audit import Who, note
from loop.gaps.collections import OF_COLLECTIONS, Collection, one_defined
from loop.gaps.slices import hold_collections, record_collection
from loop.insights.frame_query import FrameQuery
from loop.insights.frames import frame_sets
from loop.project.wiring import Parts
from loop.selection.collected import given_quotas
from loop.settings.collections import (
    ADDRESS_KEYS,
    Address,
    Definition,
    Rule,
    Sentence,
    flat,
    quota_in_words,
    stored_rule,
)
from loop.settings.types import is_quota

MOST_EXAMPLES = 20_000


def quiet(done: int, total: int, what: str) -> None:
    """Nobody waits for a word."""


def make_by_rules(
    parts: Parts, who: Who, name: str, rules: Sequence[Rule], progress: Progress = quiet
) -> int:
    """The id of a new collection of the frames of which any of these rules holds.

    Raises ConfigError for a name that is taken or too long, without rules, and for a sentence of words
    that the embedder never met.
    """
    if not rules:
        raise ConfigError("collection: expected a rule, a sentence or frames, got none; give one of them")
    for rule in flat(rules):
        if isinstance(rule, Sentence):
            _check_words(parts, rule.text)
        if isinstance(rule, Address):
            _check_slices(parts, rule)
    return _make(parts, who, name, Definition(tuple(rules), judged=True), progress)


def make_by_sentence(parts: Parts, who: Who, name: str, text: str, progress: Progress = quiet) -> int:
    """The id of a new collection of the frames that a sentence describes, by CLIP. Raises ConfigError."""
    cleaned = text.strip()
    if not cleaned:
        raise ConfigError("collection: expected a sentence, got nothing; say what the frames show")
    return make_by_rules(parts, who, name, [Sentence(cleaned)], progress)


def make_by_examples(
    parts: Parts,
    who: Who,
    name: str,
    seqs: Iterable[int],
    alike: bool = True,
    progress: Progress = quiet,
) -> int:
    """The id of a new collection of these frames and, with `alike`, of those like them.

    Raises ConfigError without frames, with more than 20,000, and for one that is not there.
    """
    examples = _known_frames(parts, seqs)
    return _make(parts, who, name, Definition(examples=examples, alike=alike, judged=True), progress)


def make_from_frames(
    parts: Parts,
    who: Who,
    name: str,
    query_or_seqs: str | FrameQuery | Iterable[int],
    progress: Progress = quiet,
) -> int:
    """The id of a new collection of what somebody looks at: a set of frames by its address, or frames
    that were picked.

    A set of cameras, sites, times and slices becomes a rule, a search for a sentence one by sentence,
    and a search for what is like a frame, or picked frames, one by example. Any other set, such as
    what is labeled or where the model errs, is taken as it is now. Raises ConfigError.
    """
    if isinstance(query_or_seqs, str):
        query_or_seqs = FrameQuery.parse(query_or_seqs)
    if not isinstance(query_or_seqs, FrameQuery):
        return make_by_examples(parts, who, name, query_or_seqs, progress=progress)
    query = query_or_seqs.but(order=None)
    pairs = list(query.pairs())
    asked = {key for key, value in pairs if (key, value) != ("origin", "production")}
    if asked == {"q"}:
        return make_by_sentence(parts, who, name, query.text or "", progress)
    if asked == {"near"}:
        return make_by_examples(parts, who, name, [query.near or 0], progress=progress)
    if asked and asked <= set(ADDRESS_KEYS):
        rule = Address(urlencode(pairs))
        if not _collections_of(parts, rule):
            return make_by_rules(parts, who, name, [rule], progress)
    sets = frame_sets(parts)
    seqs = sets.ids(sets.find(query), MOST_EXAMPLES + 1).tolist() if asked else []
    return make_by_examples(parts, who, name, seqs, alike=False, progress=progress)


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
    """How many frames are in the collection then.

    add: frames that are always in from now on, and that others are compared with.
    remove: frames that are examples, or excluded, no longer.
    exclude: frames that are never in.
    Raises ConfigError, StateError.
    """
    given = {name: set(seqs) for name, seqs in (("add", add), ("remove", remove), ("exclude", exclude))}
    new = set(_known_frames(parts, given["add"] | given["exclude"] | given["remove"]))
    if both := sorted(given["add"] & given["exclude"]):
        raise ConfigError(f"collection: expected frames to add or to exclude, got both for {both[0]}")

    def changed(was: Definition) -> Definition:
        examples = (set(was.examples) | given["add"]) - given["remove"] - given["exclude"]
        excluded = (set(was.excluded) | given["exclude"]) - given["remove"] - given["add"]
        return replace(was, examples=tuple(sorted(examples)), excluded=tuple(sorted(excluded)))

    if not new:
        return 0
    told = {name: sorted(seqs) for name, seqs in given.items()}
    with write(parts.project.engine) as session:
        hold_collections(session)
        _redefined(session, who, slice_id, "examples of a collection changed", changed, told)
    return record_collection(parts, slice_id, progress)


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


def change(parts: Parts, who: Who, slice_id: int, wanted: Different) -> bool:
    """Makes all of it different or, where something of it cannot be, nothing; whether it was restored, so
    that `record_collection` is due. Raises ConfigError, StateError.
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


def _make(parts: Parts, who: Who, name: str, definition: Definition, progress: Progress) -> int:
    key = f"{OF_COLLECTIONS.key}/own-{secrets.token_hex(6)}"
    with write(parts.project.engine) as session:
        cleaned = free_name(session, name)
        made = Collection(key, cleaned, definition).as_slice()
        number = define_slices(session, [OF_COLLECTIONS, made])[key]
        note(session, who, "collection made", _subject(number), {}, {"name": cleaned, **_told(definition)})
    record_collection(parts, number, progress)
    return number


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


def _known_frames(parts: Parts, seqs: Iterable[int]) -> tuple[int, ...]:
    wanted = sorted(set(seqs))
    if not wanted or len(wanted) > MOST_EXAMPLES:
        raise ConfigError(
            f"collection: expected 1 to {MOST_EXAMPLES} frames, got {len(wanted)}; choose"
            f" {'some' if not wanted else 'fewer, or make it by a rule'}"
        )
    with read(parts.project.engine) as session:
        there = {row.seq for row in frames(session, seqs=wanted)}
    if lost := [seq for seq in wanted if seq not in there]:
        raise ConfigError(
            f"collection: expected frames of this project, got {listed([str(seq) for seq in lost], 5)}"
        )
    return tuple(wanted)


def _check_words(parts: Parts, text: str) -> None:
    if unknown := parts.embedder().unknown_words([text]):
        raise ConfigError(
            f"collection: expected words that the embedder knows, got {', '.join(unknown)}; say it otherwise,"
            " or give frames that show it"
        )


def _collections_of(parts: Parts, rule: Address) -> list[int]:
    """Collections among the slices that a rule names. Raises StateError for a number that is none."""
    numbers = [int(number) for number in (*rule.values("slice"), *rule.values("not_slice"))]
    with read(parts.project.engine) as session:
        return [one for one in numbers if slice_by_id(session, one).kind is SliceKind.COLLECTION]


def _check_slices(parts: Parts, rule: Address) -> None:
    if found := _collections_of(parts, rule):
        raise ConfigError(
            f"collection: expected slices that are no collections, got {found[0]}; give its rules instead"
        )
