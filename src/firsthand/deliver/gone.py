"""What erasures took out of the log, for those who have read it before: lanes hold entries, slots and retries in
memory, and go on with them after the erasure is reported done.

The hub's tombstones tell most of it by the ids in an event; this tells all of it, by the places of the events.
"""

from collections.abc import Callable, Iterable
from typing import Any

from firsthand.eventlog.base import Position
from firsthand.identity.erasure import Fate, Match, Place, Plan, plan_of
from firsthand.ledger.records import Delivery
from firsthand.state.erasures import Erasures

MOST = 100_000
"""Places of erased events, and of mentions, that are kept though every lane has passed them: a replay, too, reads
ahead."""


class Gone:
    """One for all lanes of a process."""

    def __init__(self) -> None:
        self._ended: dict[Place, None] = {}
        self._mentions: dict[Place, dict[int, Match]] = {}
        """By the time of the erasure, what to take out."""

    def resume(self, erasures: Erasures) -> None:
        """Those that a restart cut off: to know before anything is sent."""
        for erasure in erasures.open():
            if erasure.state == "running":
                self.add(plan_of(erasure.plan))

    def add(self, plan: Plan) -> None:
        """What a plan takes may not be sent from now on, also by whoever has read it before."""
        self._ended |= dict.fromkeys(plan.events)
        for places in plan.mentions.values():
            self.mention(places, plan)

    def mention(self, places: Iterable[Place], plan: Plan) -> None:
        """Out of what stands at these places goes what mentions the visitor."""
        match = Match(plan.ids, plan.shared)
        for place in places:
            self._mentions.setdefault(place, {})[plan.erased_ms] = match

    @property
    def many(self) -> bool:
        """Whether more is known than is kept for long."""
        return max(len(self._ended), len(self._mentions)) > MOST

    def forget(self, passed: Callable[[int], Position], under_way: Iterable[Plan]) -> None:
        """Of what every lane has passed the newest is kept, and what is `under_way`: log and ledger have it yet."""
        needed: set[Place] = set()
        for plan in under_way:
            needed.update(plan.events, *plan.mentions.values())
        places: tuple[dict[Place, Any], ...] = (self._ended, self._mentions)
        for known in places:
            old = [place for place in known if place[1] <= passed(place[0]) and place not in needed]
            for place in old[: max(0, len(known) - MOST)]:
                del known[place]

    def fate(self, delivery: Delivery) -> Fate | None:
        """What a delivery's event is to an erased visitor. Of one that mentions them, the mention goes with this."""
        place = (delivery.shard, delivery.position)
        if place in self._ended:
            return "theirs"
        matches = self._mentions.get(place)
        if matches is None:
            return None
        for match in matches.values():
            if delivery.event is not None and (redaction := match.redactions.get(delivery.source)) is not None:
                delivery.event = redaction.body(delivery.event)
            if match.identity(delivery.source, delivery.detail.identity):
                delivery.detail.identity = None  # it is found out anew
        return "mentions"
