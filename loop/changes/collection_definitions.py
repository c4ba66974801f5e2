"""What a new collection is made of, checked before anything is made: rules, a sentence, frames, a set."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from urllib.parse import urlencode

from db.engine import read
from db.frames import frames
from db.slices import slice_by_id
from db.states import SliceKind
from loop.base.errors import ConfigError
from loop.base.wording import listed
from loop.insights.frame_query import FrameQuery
from loop.insights.frames import frame_sets
from loop.project.wiring import Parts
from loop.settings.collections import ADDRESS_KEYS, Address, Definition, Rule, Sentence, flat

MOST_EXAMPLES = 20_000


def by_rules(parts: Parts, rules: Sequence[Rule]) -> Definition:
    """Of the frames of which any of these rules holds.

    Raises ConfigError without rules, and for a sentence of words that the embedder never met.
    """
    if not rules:
        raise ConfigError("collection: expected a rule, a sentence or frames, got none; give one of them")
    for rule in flat(rules):
        if isinstance(rule, Sentence):
            _check_words(parts, rule.text)
        if isinstance(rule, Address):
            _check_slices(parts, rule)
    return Definition(tuple(rules), judged=True)


def by_sentence(parts: Parts, text: str) -> Definition:
    """Of the frames that a sentence describes, by CLIP. Raises ConfigError."""
    cleaned = text.strip()
    if not cleaned:
        raise ConfigError("collection: expected a sentence, got nothing; say what the frames show")
    return by_rules(parts, [Sentence(cleaned)])


def by_examples(parts: Parts, seqs: Iterable[int], alike: bool = True) -> Definition:
    """Of these frames and, with `alike`, of those like them.

    Raises ConfigError without frames, with more than 20,000, and for one that is not there.
    """
    return Definition(examples=known_frames(parts, seqs), alike=alike, judged=True)


def by_set(parts: Parts, query_or_seqs: str | FrameQuery | Iterable[int]) -> Definition:
    """Of what somebody looks at: a set of frames by its address, or frames that were picked.

    A set of cameras, sites, times and slices becomes a rule, a search for a sentence one by sentence,
    and a search for what is like a frame, or picked frames, one by example. Any other set, such as
    what is labeled or where the model errs, is taken as it is now. Raises ConfigError.
    """
    if isinstance(query_or_seqs, str):
        query_or_seqs = FrameQuery.parse(query_or_seqs)
    if not isinstance(query_or_seqs, FrameQuery):
        return by_examples(parts, query_or_seqs)
    query = query_or_seqs.but(order=None)
    pairs = list(query.pairs())
    asked = {key for key, value in pairs if (key, value) != ("origin", "production")}
    if asked == {"q"}:
        return by_sentence(parts, query.text or "")
    if asked == {"near"}:
        return by_examples(parts, [query.near or 0])
    if asked and asked <= set(ADDRESS_KEYS):
        rule = Address(urlencode(pairs))
        if not _collections_of(parts, rule):
            return by_rules(parts, [rule])
    sets = frame_sets(parts)
    seqs = sets.ids(sets.find(query), MOST_EXAMPLES + 1).tolist() if asked else []
    return by_examples(parts, seqs, alike=False)


def known_frames(parts: Parts, seqs: Iterable[int]) -> tuple[int, ...]:
    """In order, each once. Raises ConfigError without any, with too many, and for one that is not there."""
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
