"""Whatever happens to deliveries, in whatever order: the counters, the rows and the log's marks tell the same story."""

import asyncio
from collections import Counter
from contextlib import ExitStack

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test
from tests.contract.ledgers import LEDGERS, NOW_MS, MemoryLog, delivery

from firsthand.ledger.balance import account
from firsthand.ledger.reader import Filter, Lane
from firsthand.ledger.records import OPEN, Counted, Delivery, LaneBatch, Range, State

Outcome = tuple[State, str | None, str | None]
SOURCES = ("shop", "app")
ENDINGS: list[Outcome] = [
    ("delivered", "accepted", None),
    ("delivered", "unverifiable", None),
    ("filtered", None, "not_mapped"),
    ("dead", None, "vendor_rejected"),
    ("dead", None, "attempts_exhausted"),
]
OUTCOMES: list[Outcome] = [*ENDINGS, ("retrying", None, None), ("held", None, None)]
FATES: list[Outcome] = [("filtered", None, "integration_disabled"), ("dead", None, "log_damaged")]


class Deliveries(RuleBasedStateMachine):
    """A lane's life, beside a model of it that is a dictionary."""

    ledger = ""

    def __init__(self) -> None:
        super().__init__()
        self.exits = ExitStack()
        self.stage = self.exits.enter_context(LEDGERS[self.ledger]())
        self.log = MemoryLog()
        self.minute = 0
        self.cursor = 0
        self.joined = dict.fromkeys(SOURCES, 0)
        """Sources the lane takes, and the position after which it took the first of their events."""
        self.rows: dict[int, tuple[Outcome, int]] = {}
        """Outcome and generation of the newest delivery of an event."""
        self.in_ranges: dict[int, Outcome] = {}
        self.counted: Counter[tuple[str, str, str | None, str | None]] = Counter()
        self.lane = self.open()

    def teardown(self) -> None:
        self.exits.close()

    def open(self) -> int:
        state = self.stage.writer.open_lane(
            "toy", "vendor", sorted(self.joined), {0: self.log.head(0)}, self.log.counts
        )
        assert state.cursors == {0: self.cursor}
        ahead = {p: self.source(p) for p in self.rows if p > self.cursor and p not in self.in_ranges}
        assert state.settled == {0: ahead}
        waiting = {p: outcome for p, (outcome, _) in self.rows.items() if outcome[0] in OPEN}
        held = list(self.stage.writer.held(state.id))
        assert {d.position: d.previous for d in (*state.open, *held)} == waiting
        assert {d.state for d in state.open} <= {"retrying"}
        assert {d.state for d in held} <= {"held"}
        marks = self.log.counts(0, self.cursor)
        assert state.counted == {(0, source): marks.get(source, 0) for source in self.joined}
        return state.id

    def source(self, position: int) -> str:
        return self.log.appended[position - 1]

    def pending(self) -> list[int]:
        """Events that are the lane's to decide on and that it has not decided on."""
        return [
            p
            for p in range(self.cursor + 1, self.log.head(0) + 1)
            if p not in self.rows and p > self.joined.get(self.source(p), p)
        ]

    def commit(self, *deliveries: Delivery, ranges: tuple[Range, ...] = ()) -> None:
        first = min(self.pending(), default=self.log.head(0) + 1)
        moved = {0: first - 1} if first - 1 > self.cursor else {}
        self.cursor = moved.get(0, self.cursor)
        batch = LaneBatch(lane=self.lane, deliveries=list(deliveries), ranges=list(ranges), cursors=moved)
        self.stage.writer.commit([batch], NOW_MS + self.minute * 60_000)

    def settle(self, position: int, outcome: Outcome, generation: int, before: Outcome | None) -> Delivery:
        """Also in the model."""
        self.rows[position] = (outcome, generation)
        source, (state, certainty, code) = self.source(position), outcome
        self.counted[(source, *outcome)] += 1
        if before is not None:
            self.counted[(source, *before)] -= 1
        return delivery(
            position, state, code, source=source, generation=generation, certainty=certainty, previous=before
        )

    # -- what may happen ---------------------------------------------------------------------------------------------

    @rule(sources=st.lists(st.sampled_from(SOURCES), max_size=6))
    def events_arrive(self, sources: list[str]) -> None:
        self.log.append(*sources)

    @rule(data=st.data(), outcomes=st.lists(st.sampled_from(OUTCOMES), max_size=6))
    def attempts_end_in_any_order(self, data: st.DataObject, outcomes: list[Outcome]) -> None:
        positions = data.draw(st.permutations(self.pending()))
        self.commit(*[self.settle(p, o, 0, None) for p, o in zip(positions, outcomes, strict=False)])

    @rule(data=st.data(), outcome=st.sampled_from(OUTCOMES))
    def an_open_delivery_is_tried_again(self, data: st.DataObject, outcome: Outcome) -> None:
        waiting = sorted(p for p, (was, _) in self.rows.items() if was[0] in OPEN)
        if waiting:
            position = data.draw(st.sampled_from(waiting))
            was, generation = self.rows[position]
            self.commit(self.settle(position, outcome, generation, was))

    @rule(data=st.data(), outcome=st.sampled_from(OUTCOMES))
    def a_delivery_is_replayed(self, data: st.DataObject, outcome: Outcome) -> None:
        found = [s.delivery for s in self.stage.reader.select(self.lane, Filter(resend=True))]
        if found:
            old = data.draw(st.sampled_from(found))
            was, generation = self.rows[old.position]
            assert (old.previous, old.generation) == (was, generation)
            self.commit(self.settle(old.position, outcome, generation + 1, was))

    @precondition(lambda self: all(p <= self.cursor for p in self.rows))
    @rule(fate=st.sampled_from(FATES))
    def the_backlog_meets_one_fate(self, fate: Outcome) -> None:
        """A disabled integration, a damaged log: nothing is under way, all that waits goes at once."""
        ranges = []
        for source in self.joined:
            positions = [p for p in self.pending() if self.source(p) == source]
            if positions:
                state, _, code = fate
                ranges.append(Range(0, positions[0], positions[-1], source, state, code or "", len(positions)))
        for position in self.pending():
            self.in_ranges[position] = fate
            self.rows[position] = (fate, 0)
            self.counted[(self.source(position), *fate)] += 1
        self.commit(ranges=tuple(ranges))

    @rule(data=st.data(), outcome=st.sampled_from(OUTCOMES))
    def an_event_of_a_range_is_replayed(self, data: st.DataObject, outcome: Outcome) -> None:
        if not self.in_ranges:
            return
        position = data.draw(st.sampled_from(sorted(self.in_ranges)))
        fate = self.in_ranges.pop(position)
        (range_id,) = [
            id
            for id, span in self.stage.reader.ranges_of(self.lane, Filter(code=fate[2]))
            if span.first <= position <= span.last and span.source == self.source(position)
        ]
        replay = self.settle(position, outcome, 1, fate)
        replay.replaces_range = range_id
        self.commit(replay)

    @rule()
    def a_minute_passes(self) -> None:
        self.minute += 1

    @rule(age=st.integers(0, 3))
    def old_rows_are_pruned(self, age: int) -> None:
        self.stage.writer.prune(NOW_MS + (self.minute - age) * 60_000)
        # What is gone cannot be replayed, and a lane does not read behind its cursor.
        for position in [p for p in self.rows if p not in self.in_ranges and not self.stage.reader.deliveries(0, p)]:
            assert position <= self.cursor
            assert self.rows.pop(position)[0][0] not in OPEN

    @rule(sources=st.sets(st.sampled_from(SOURCES), min_size=1))
    def the_lane_starts_again(self, sources: set[str]) -> None:
        for source in SOURCES:
            if source not in sources:
                self.joined.pop(source, None)
            else:
                self.joined.setdefault(source, self.cursor)
        self.stage.reopen()
        self.open()

    # -- what must hold ----------------------------------------------------------------------------------------------

    @invariant()
    def all_accounts_agree(self) -> None:
        expected = {Counted(*key, count) for key, count in self.counted.items() if count}
        assert set(self.stage.reader.counted(self.lane)) == expected
        lane = Lane(self.lane, "toy", "vendor")
        counts = asyncio.run(account(lane, self.stage.reader, self.log, NOW_MS, recount=True))
        assert counts.recounted
        assert counts.balanced
        assert counts.pending == len(self.pending())
        ended = counts.delivered + counts.filtered + counts.dead
        assert counts.received == ended + counts.pending + counts.held + counts.retrying


@pytest.mark.parametrize("ledger", LEDGERS)
def test_all_accounts_agree_whatever_happens(ledger: str) -> None:
    machine = type("Machine", (Deliveries,), {"ledger": ledger})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=50, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )
