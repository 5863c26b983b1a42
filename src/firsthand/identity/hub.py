"""The hub: learns from the log as it is read, and answers who an event's visitor is.

What is known already costs next to nothing: the last lesson of each visitor is remembered, and one that is equal is
not looked into. Profiles that changed are written together, one transaction a batch of entries, with the position up
to which the log was observed. After a crash it is observed again from there, which changes nothing: see `profile`.
"""

from collections import OrderedDict
from collections.abc import Iterable, Mapping
from pathlib import Path

import apsw
import structlog

from firsthand.event import Event, moment
from firsthand.eventlog.base import Position
from firsthand.identity.closure import all_forms
from firsthand.identity.known import Known
from firsthand.identity.lesson import Clocks, Lesson, Names, is_address, lesson_of, refs, teach
from firsthand.identity.mending import DAMAGED
from firsthand.identity.mentions import named_in_page
from firsthand.identity.profile import TOUCH_MS, Profile, Ref
from firsthand.identity.store import Place, ProfileStore
from firsthand.vendors.hashing import normalise

log = structlog.get_logger()

CACHED = 30_000
"""Profiles kept in memory. A visitor's events come within minutes of each other."""
POSITION_EVERY = 10_000
"""Positions that may pass before they are noted though nothing was learned: so many are observed again at most."""
MOST_DIRTY = 50_000
SWEEP = 200
"""Profiles that are looked at in one step of retention: a millisecond's work."""
MOST_ASKED = 16_384
"""Visitors whose answers are kept until the hub learns again. While a backlog drains, that may be long."""


Entry = tuple[Position, str, int, Event | None]
"""Position, source, time of receipt (milliseconds) and event; None where it cannot be read."""


class Node:
    """A profile in memory, with the newest lesson of the visitor it is the first id of."""

    __slots__ = ("barrier_ms", "clocks", "lesson", "profile", "seen_ms", "taught_ms")

    def __init__(self, profile: Profile) -> None:
        self.profile = profile
        self.lesson: Lesson | None = None
        self.taught_ms = 0
        self.seen_ms = 0
        self.clocks: Clocks | None = None
        self.barrier_ms = profile.barrier_ms


class Hub:
    """One for a deliver process; owns `identity.db`. Anybody else brings a `store` that writes nothing."""

    def __init__(self, directory: Path, names: Names, store: ProfileStore | None = None) -> None:
        self._store = store or ProfileStore(directory)
        self._names = names
        self._nodes: OrderedDict[tuple[str, Ref], Node] = OrderedDict()
        self._dirty: set[tuple[str, Ref]] = set()
        self._taught: set[tuple[str, Ref]] = set()
        """Of those in memory, who may have been seen again since they were written."""
        self._late: list[Place] = []
        self._noted = self._store.positions()
        self._positions = dict(self._noted)
        self._failing = False
        self._mended = 0
        self._has_erased = self._store.has_erased()
        self._swept = 0
        # Deliveries of one visitor come together, and each asks several times. Kept until the hub learns again.
        self._answers: dict[tuple[str, str | None, str | None], Known] = {}

    def rename(self, names: Names) -> None:
        """The integrations are others: so is what vendors call their ids, and whose they are."""
        self._names = names

    def close(self) -> None:
        """What was only seen again is written now, too: of two answers the newer one may be the one repeated."""
        try:
            self._dirty |= {key for key in self._taught if self._nodes[key].profile.ref is not None}
            if self._positions != self._noted or self._dirty:
                self._write()
        except apsw.Error as error:
            log.error("what was learned of visitors is learned again at the next start", error=type(error).__name__)
        self._store.close()

    # -- learning ----------------------------------------------------------------------------------------------

    def begin(self, shard: int, head: Position) -> None:
        """A log whose newest event is older than what was observed is another log: it is observed from its start."""
        if self.position(shard) > head:
            self._positions[shard] = 0

    def position(self, shard: int) -> Position:
        """Up to where the log has been observed."""
        return self._positions.get(shard, 0)

    @property
    def full(self) -> bool:
        """Nothing more should be observed: what was learned cannot be written."""
        return len(self._dirty) > MOST_DIRTY

    def observe(self, shard: int, entries: Iterable[Entry], upto: Position) -> None:
        """Learn from entries of the log, in its order, up to a position. Those observed before teach nothing."""
        self._answers.clear()
        after, mended = self.position(shard), self._mended
        for position, source, received_ms, event in entries:
            if position > after and event is not None:
                self._learn(source, event, received_ms, (shard, position))
        if self._mended != mended:
            return  # all of the log is to be observed again
        if upto > after:
            self._positions[shard] = upto
        if self._dirty or self._late or upto - self._noted.get(shard, 0) >= POSITION_EVERY:
            self.flush()

    def flush(self) -> None:
        """Write what was learned. Where that fails it stays in memory, and the log is observed again after a crash."""
        try:
            self._write()
        except apsw.Error as error:
            if not self._failing:
                log.error("what is learned of visitors cannot be written", error=type(error).__name__)
            self._failing = True
        else:
            self._failing = False

    def _learn(self, source: str, event: Event, received_ms: int, place: Place) -> None:
        lesson = lesson_of(event)
        if lesson.anonymous_id:
            first = Ref("a", lesson.anonymous_id)
        elif lesson.user_id:
            first = Ref("u", lesson.user_id)
        else:
            return  # it was erased
        node = self._node(source, first)
        at_ms = moment(event, received_ms)
        if (
            lesson == node.lesson
            and node.barrier_ms < at_ms
            and node.seen_ms <= at_ms < node.taught_ms + TOUCH_MS
            and node.clocks is not None
            and not (self._has_erased and named_in_page(event))
            and node.clocks.set(at_ms)
        ):
            node.seen_ms = at_ms
            return
        if self._has_erased and self._is_late(source, event, lesson, at_ms):
            self._late.append(place)
        else:
            self._take(source, first, node, lesson, at_ms)

    def _take(self, source: str, first: Ref, node: Node, lesson: Lesson, at_ms: int) -> None:
        named = {first: node} | {ref: self._node(source, ref) for ref in refs(lesson) if ref != first}
        if any(at_ms <= one.profile.erased_ms for one in named.values()):
            return  # it is somebody else's, and links them to an address that is not to be known any more
        barrier = max(one.profile.barrier_ms for one in named.values())
        profiles = {ref: one.profile for ref, one in named.items()}
        self._taught.update((source, ref) for ref in named)
        changed, clocks = teach(source, lesson, at_ms, self._names, profiles)
        for ref in changed:
            profile = profiles[ref]
            profile.source, profile.ref = source, ref
            self._dirty.add((source, ref))
            if (other := profile.unlink_oldest()) is not None:
                self._unlink(source, other, ref)
        if at_ms >= node.seen_ms:
            node.lesson, node.barrier_ms, node.clocks = lesson, barrier, clocks
            node.taught_ms = node.seen_ms = at_ms

    def _unlink(self, source: str, one: Ref, other: Ref) -> None:
        """Have the one know nothing of the other any more."""
        node = self._node(source, one)
        if node.profile.unlink(other):
            self._dirty.add((source, one))
        node.lesson = None

    # -- answering ---------------------------------------------------------------------------------------------

    def known(self, source: str, anonymous_id: str | None, user_id: str | None) -> Known:
        """What is known of a visitor by now."""
        asked = (source, anonymous_id, user_id)
        known = self._answers.get(asked)
        if known is None:
            if len(self._answers) >= MOST_ASKED:
                self._answers.clear()
            known = self._answers[asked] = Known(lambda ref: self._profile(source, ref), anonymous_id, user_id)
        return known

    def erased(self, source: str, event: Event, received_ms: int) -> bool:
        """Whether an event is from before its visitor was erased."""
        if not self._has_erased:
            return False
        return self._is_late(source, event, lesson_of(event), moment(event, received_ms))

    def _is_late(self, source: str, event: Event, lesson: Lesson, at_ms: int) -> bool:
        """By the rules of an erasure (`Match.event`): an id tells; an address, or what is shared, where the event names
        nobody else."""
        told = others = False
        for ref in refs(lesson):
            profile = self._node(source, ref).profile
            if at_ms <= profile.erased_ms and ref.kind != "e":
                return True
            if at_ms <= profile.barrier_ms:
                told = True
            elif ref.kind != "a" and not self._address_erased(source, ref.value, at_ms):
                others = True
        in_page = () if others or told else named_in_page(event)
        return not others and (told or any(self._address_erased(source, address, at_ms) for address in in_page))

    def _address_erased(self, source: str, text: str, at_ms: int) -> bool:
        return is_address(text) and at_ms <= self._node(source, Ref("e", normalise(text))).profile.erased_ms

    def _profile(self, source: str, ref: Ref) -> Profile | None:
        profile = self._node(source, ref).profile
        return None if profile.ref is None else profile

    def get(self, source: str, ref: Ref) -> Profile | None:
        """One id's profile."""
        return self._profile(source, ref)

    # -- erasing -----------------------------------------------------------------------------------------------

    def erase(self, refs: Mapping[str, Iterable[Ref]], shared: Mapping[str, Iterable[Ref]], at_ms: int) -> None:
        """Forget ids, by source, for good: all that is left is that something with this hash was erased, and when.

        Of what is `shared` that is forgotten which may be theirs: vendor ids, and what came without a user's name.
        Raises apsw.Error where that cannot be written; then it is to be done again.
        """
        self._answers.clear()
        self._has_erased = True
        for source, gone in refs.items():
            names = all_forms(gone)
            for ref in names:
                node = self._node(source, ref)
                for key in list(node.profile.links):
                    if (other := Ref.of(key)) not in names:
                        self._unlink(source, other, ref)
                node.profile = Profile(erased_ms=max(at_ms, node.profile.erased_ms), shared_ms=node.profile.shared_ms)
                node.lesson, node.barrier_ms = None, node.profile.barrier_ms
                self._dirty.add((source, ref))
        for source, others in shared.items():
            for ref in others:
                node = self._node(source, ref)
                node.profile.answers = [one for one in node.profile.answers if one.user]
                node.profile.ids, node.lesson = {}, None
                node.profile.shared_ms = node.barrier_ms = max(at_ms, node.profile.shared_ms)
                node.profile.emails.pop("", None)
                self._dirty.add((source, ref))
        self._write()
        try:
            self._store.note_erasure(at_ms)
        except DAMAGED:
            self.mend_erased(at_ms)

    def wipe(self) -> None:
        """Have nothing left in the file of what was erased. Takes the disk's time: call it in a thread.

        Raises apsw.Error where that cannot be done; then it is to be done again. Where the file is damaged,
        `mend_erased` does it.
        """
        self._store.wipe()

    def mend_erased(self, at_ms: int) -> None:
        """Go on with a new file, which has nothing in it that was replaced or deleted."""
        self._mend()
        self._store.note_erasure(at_ms)

    def late(self) -> list[Place]:
        """Events of erased visitors that arrived after the erasure and are to go from the log too."""
        return self._store.late()

    def no_longer_late(self, places: Iterable[Place]) -> None:
        self._store.no_longer_late(places)

    # -- retention -----------------------------------------------------------------------------------------------

    def forget(self, before_ms: int) -> int:
        """Remove what was not seen since a time, of some profiles; returns how many went as a whole. Called again and
        again, it comes past all of them. Who was erased stays known as such.

        Raises apsw.Error where that cannot be written.
        """
        try:
            return self._forget(before_ms)
        except DAMAGED:
            self._mend()
            return 0

    def _forget(self, before_ms: int) -> int:
        found = self._store.after(self._swept, SWEEP)
        self._swept = found[-1][0] if len(found) == SWEEP else 0
        gone: list[tuple[str, Ref]] = []
        for _, stored in found:
            if stored.ref is None:
                continue  # nothing but that somebody was erased
            key = (stored.source, stored.ref)
            node = self._nodes.get(key)
            profile = stored if node is None else node.profile  # which may have been seen again since
            unseen = profile.seen_ms() < before_ms
            if unseen and not profile.barrier_ms:
                gone.append(key)
            elif profile.forget(before_ms) or unseen:
                left = Profile(erased_ms=profile.erased_ms, shared_ms=profile.shared_ms) if unseen else profile
                self._nodes[key] = Node(left)
                self._dirty.add(key)
        if gone:
            self._store.remove(gone)
            for key in gone:
                self._nodes.pop(key, None)
                self._taught.discard(key)
                self._dirty.discard(key)
        if self._dirty:
            self._write()
        self._answers.clear()
        return len(gone)

    # -- memory and disk ---------------------------------------------------------------------------------------

    def checkpoint(self) -> None:
        """Keep the journal short. Takes the disk's time: call it in a thread."""
        self._store.checkpoint()

    def _node(self, source: str, ref: Ref) -> Node:
        key = (source, ref)
        node = self._nodes.get(key)
        if node is None:
            if len(self._nodes) >= CACHED:
                oldest = next(iter(self._nodes))
                self._nodes.move_to_end(oldest)
                if oldest not in self._dirty:
                    del self._nodes[oldest]
                    self._taught.discard(oldest)
            node = self._nodes[key] = Node(self._read(source, ref) or Profile())
        else:
            self._nodes.move_to_end(key)
        return node

    def _read(self, source: str, ref: Ref) -> Profile | None:
        try:
            return self._store.get(source, ref)
        except DAMAGED:
            self._mend()
            return self._store.get(source, ref)

    def _write(self) -> None:
        changed = [(source, ref, self._nodes[source, ref].profile) for source, ref in self._dirty]
        try:
            self._store.write(changed, self._positions, self._late)
        except DAMAGED:
            self._mend()
            self._store.write(changed, self._positions, self._late)
        self._noted = dict(self._positions)
        self._dirty.clear()
        self._late.clear()

    def _mend(self) -> None:
        """The file is damaged: with what can be read of it, observe the log again."""
        self._store.mend()
        self._positions, self._noted = {}, {}
        self._mended += 1
