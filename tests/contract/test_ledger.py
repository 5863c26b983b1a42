"""What `firsthand.ledger.base` promises, of every ledger there is."""

from collections.abc import Iterator

import pytest
from tests.contract.ledgers import LEDGERS, NOW_MS, MemoryLog, Stage, delivery, open_lane

from firsthand.ledger.balance import Account, account
from firsthand.ledger.base import LedgerUnavailable
from firsthand.ledger.reader import Filter, Lane
from firsthand.ledger.records import Counted, Delivery, Exchange, LaneBatch, Range

DAY_MS = 86_400_000


@pytest.fixture(params=LEDGERS)
def stage(request: pytest.FixtureRequest) -> Iterator[Stage]:
    with LEDGERS[request.param]() as stage:
        yield stage


@pytest.fixture
def log() -> MemoryLog:
    return MemoryLog()


def commit(
    stage: Stage,
    *deliveries: Delivery,
    upto: int | None = None,
    ranges: tuple[Range, ...] = (),
    lane: int = 1,
    at: int = 0,
) -> None:
    cursors = {} if upto is None else {0: upto}
    batch = LaneBatch(lane=lane, deliveries=list(deliveries), ranges=list(ranges), cursors=cursors)
    stage.writer.commit([batch], NOW_MS + at)


async def accounts(stage: Stage, log: MemoryLog) -> Account:
    return await account(Lane(1, "toy", "vendor"), stage.reader, log, NOW_MS, recount=True)


# -- lanes -------------------------------------------------------------------------------------------------------------


def test_a_new_lane_begins_at_the_end_of_the_log(stage: Stage, log: MemoryLog) -> None:
    log.append("shop", "shop", "app")
    lane = open_lane(stage, log, "shop", "app")
    assert lane.cursors == {0: 3}
    assert lane.counted == {(0, "shop"): 2, (0, "app"): 1}


def test_a_lane_goes_on_at_its_cursor_however_far_the_log_has_come(stage: Stage, log: MemoryLog) -> None:
    open_lane(stage, log)
    log.append(*["shop"] * 5)
    commit(stage, delivery(1, "delivered"), delivery(2, "delivered"), upto=2)
    stage.reopen()
    lane = open_lane(stage, log)
    assert lane.cursors == {0: 2}
    assert lane.counted == {(0, "shop"): 2}


def test_outcomes_ahead_of_the_cursor_are_known_at_the_next_start(stage: Stage, log: MemoryLog) -> None:
    """The first event is still under way: its lane must not send the third one again."""
    open_lane(stage, log)
    log.append("shop", "shop", "shop")
    commit(stage, delivery(3, "delivered"), upto=0)
    stage.reopen()
    lane = open_lane(stage, log)
    assert lane.settled == {0: {3: "shop"}}
    assert lane.counted == {(0, "shop"): 0}


def test_retrying_and_held_deliveries_come_back_with_all_they_need(stage: Stage, log: MemoryLog) -> None:
    open_lane(stage, log)
    log.append("shop", "shop", "shop")
    retrying = delivery(1, "retrying", next_ms=NOW_MS + 9)
    retrying.detail.tries, retrying.detail.accepted = 3, [0, 2]
    commit(stage, retrying, delivery(2, "held", next_ms=NOW_MS + 5), delivery(3, "delivered"), upto=3)
    stage.reopen()
    lane = open_lane(stage, log)
    (again,) = lane.open
    (held,) = stage.writer.held(lane.id)
    assert (held.state, held.position, held.event, held.next_ms) == ("held", 2, b"event 2", NOW_MS + 5)
    assert (again.event, again.visitor, again.received_ms, again.next_ms) == (b"event 1", 7, NOW_MS + 1, NOW_MS + 9)
    assert (again.detail.tries, again.detail.accepted) == (3, [0, 2])
    assert again.previous == ("retrying", None, None)


def test_a_held_delivery_is_read_back_while_it_is_held(stage: Stage, log: MemoryLog) -> None:
    lane = open_lane(stage, log).id
    log.append("shop", "shop")
    commit(stage, delivery(1, "held"), delivery(2, "retrying"), upto=2)
    held = stage.writer.restore(lane, 0, 1, 0)
    assert held is not None
    assert (held.event, held.visitor, held.previous) == (b"event 1", 7, ("held", None, None))
    assert stage.writer.restore(lane, 0, 2, 0) is None
    commit(stage, delivery(1, "filtered", "consent_refused", previous=held.previous))
    assert stage.writer.restore(lane, 0, 1, 0) is None
    assert stage.reader.deliveries(0, 1)[0].delivery.event is None


def test_lanes_keep_apart(stage: Stage, log: MemoryLog) -> None:
    open_lane(stage, log)
    other = open_lane(stage, log, integration="other")
    log.append("shop", "shop")
    commit(stage, delivery(1, "dead", "poison"), upto=1)
    assert other.id != 1
    assert open_lane(stage, log, integration="other") == other
    assert stage.reader.cursors(other.id) == {0: 0}
    assert stage.reader.counted(other.id) == []


# -- commits -----------------------------------------------------------------------------------------------------------


def test_a_commit_that_fails_leaves_nothing_behind(stage: Stage, log: MemoryLog) -> None:
    open_lane(stage, log)
    log.append(*["shop"] * 500)
    exchange = Exchange(NOW_MS, 1, 0, 0, "POST", "https://vendor.example/", {}, b"x" * 500, 200)
    outcomes = [delivery(n, "delivered", exchanges=[exchange]) for n in range(1, 500)]
    span = Range(0, 500, 500, "shop", "filtered", "integration_disabled", 1)
    with stage.full(), pytest.raises(LedgerUnavailable):
        commit(stage, *outcomes, upto=500, ranges=(span,))
    stage.reopen()
    assert stage.reader.cursors(1) == {0: 0}
    assert stage.reader.counted(1) == stage.reader.recounted(1) == []
    assert stage.reader.deliveries(0, 1) == []
    assert stage.reader.minutes(1, 0) == []


def test_a_commit_succeeds_as_soon_as_it_can_again(stage: Stage, log: MemoryLog) -> None:
    open_lane(stage, log)
    log.append(*["shop"] * 500)
    outcomes = [delivery(n, "dead", "poison") for n in range(1, 501)]
    with stage.full(), pytest.raises(LedgerUnavailable):
        commit(stage, *outcomes, upto=500)
    commit(stage, *outcomes, upto=500)
    assert stage.reader.counted(1) == [Counted("shop", "dead", None, "poison", 500)]


def test_several_lanes_are_committed_together(stage: Stage, log: MemoryLog) -> None:
    first, second = open_lane(stage, log), open_lane(stage, log, integration="other")
    log.append("shop")
    batches = [
        LaneBatch(lane=lane.id, deliveries=[delivery(1, "delivered")], cursors={0: 1}) for lane in (first, second)
    ]
    stage.writer.commit(batches, NOW_MS)
    assert [stage.reader.cursors(lane.id) for lane in (first, second)] == [{0: 1}, {0: 1}]


def test_a_delivery_may_change_twice_within_a_commit(stage: Stage, log: MemoryLog) -> None:
    open_lane(stage, log)
    log.append("shop")
    commit(stage, delivery(1, "retrying"), delivery(1, "delivered", previous=("retrying", None, None)), upto=1)
    assert stage.reader.counted(1) == stage.reader.recounted(1) == [Counted("shop", "delivered", "accepted", None, 1)]


def test_each_attempt_is_kept_in_its_order(stage: Stage, log: MemoryLog) -> None:
    open_lane(stage, log)
    log.append("shop")
    attempts = [Exchange(NOW_MS + n, 5, 0, n, "POST", f"https://{n}.example/", {}, b"body", 307) for n in range(3)]
    commit(stage, delivery(1, "retrying", exchanges=attempts[:2]), upto=1)
    commit(stage, delivery(1, "delivered", exchanges=attempts[2:], previous=("retrying", None, None)))
    (stored,) = stage.reader.deliveries(0, 1)
    assert stage.reader.attempts(stored) == attempts


@pytest.mark.parametrize(
    ("state", "keeps"), [("retrying", True), ("held", True), ("dead", True), ("delivered", False), ("filtered", False)]
)
def test_a_delivery_keeps_its_event_while_it_may_need_it(stage: Stage, log: MemoryLog, state: str, keeps: bool) -> None:
    open_lane(stage, log)
    log.append("shop")
    commit(stage, delivery(1, state, "poison" if state == "dead" else None), upto=1)  # type: ignore[arg-type]
    assert [stored.delivery.event for stored in stage.reader.kept("m1")] == ([b"event 1"] if keeps else [])


# -- counts ------------------------------------------------------------------------------------------------------------


async def test_an_event_nothing_is_known_of_is_pending(stage: Stage, log: MemoryLog) -> None:
    log.append("shop")
    open_lane(stage, log)
    log.append("shop", "shop", "shop")
    commit(stage, delivery(2, "delivered"), delivery(4, "held"), upto=2)
    counts = await accounts(stage, log)
    assert (counts.received, counts.delivered, counts.held, counts.pending) == (3, 1, 1, 1)
    assert counts.balanced


async def test_reasons_and_certainties_are_counted(stage: Stage, log: MemoryLog) -> None:
    open_lane(stage, log)
    log.append(*["shop"] * 4)
    commit(
        stage,
        delivery(1, "dead", "poison"),
        delivery(2, "filtered", "not_mapped"),
        delivery(3, "delivered", certainty="unverifiable"),
        delivery(4, "dead", "poison"),
        upto=4,
    )
    counts = await accounts(stage, log)
    assert counts.reasons == {"poison": 2, "not_mapped": 1}
    assert counts.certainties == {"unverifiable": 1}


async def test_an_outcome_without_its_event_does_not_balance(stage: Stage, log: MemoryLog) -> None:
    open_lane(stage, log)
    log.append("shop", "shop")
    commit(stage, delivery(1, "delivered"), upto=2)  # the cursor passed an event that nobody decided on
    assert not (await accounts(stage, log)).balanced


async def test_rows_that_differ_from_the_counters_do_not_balance(stage: Stage, log: MemoryLog) -> None:
    open_lane(stage, log)
    log.append("shop")
    commit(stage, delivery(1, "retrying"), upto=1)
    commit(stage, delivery(1, "delivered"))  # `previous` was forgotten: counted twice
    counts = await accounts(stage, log)
    assert counts.recounted is False
    assert not counts.balanced


async def test_a_backlog_shows_how_long_its_oldest_event_has_waited(stage: Stage, log: MemoryLog) -> None:
    open_lane(stage, log)
    log.append("shop", "shop")
    commit(stage, delivery(1, "delivered"), upto=1)
    counts = await account(Lane(1, "toy", "vendor"), stage.reader, log, NOW_MS + 2 + 7_500)
    assert counts.lag_seconds == 7.5


def test_minutes_add_up_what_ended_in_them(stage: Stage, log: MemoryLog) -> None:
    open_lane(stage, log)
    log.append(*["shop"] * 6)
    commit(stage, delivery(1, "delivered"), delivery(2, "retrying"), upto=2)
    commit(stage, delivery(3, "delivered"), upto=3, at=59_000)
    span = Range(0, 4, 6, "shop", "filtered", "integration_disabled", 3)
    commit(stage, delivery(2, "delivered", previous=("retrying", None, None)), upto=6, ranges=(span,), at=60_000)
    minute = NOW_MS // 60_000
    assert stage.reader.minutes(1, minute) == [
        (minute, Counted("shop", "delivered", "accepted", None, 2)),
        (minute + 1, Counted("shop", "delivered", "accepted", None, 1)),
        (minute + 1, Counted("shop", "filtered", None, "integration_disabled", 3)),
    ]
    assert stage.reader.minutes(1, minute + 2) == []


# -- ranges, replays, pruning ------------------------------------------------------------------------------------------


def test_a_range_stands_for_all_events_of_its_source_in_it(stage: Stage, log: MemoryLog) -> None:
    open_lane(stage, log, "shop", "app")
    log.append("shop", "app", "shop")
    commit(stage, upto=3, ranges=(Range(0, 1, 3, "shop", "filtered", "integration_disabled", 2),))
    assert [span.count for _, _, span in stage.reader.ranges(0, 3, "shop")] == [2]
    assert stage.reader.ranges(0, 2, "app") == []
    assert stage.reader.counted(1) == stage.reader.recounted(1)


def test_ranges_that_meet_become_one(stage: Stage, log: MemoryLog) -> None:
    open_lane(stage, log)
    log.append(*["shop"] * 6)
    for first in (1, 4):
        commit(stage, upto=first + 2, ranges=(Range(0, first, first + 2, "shop", "dead", "log_damaged", 3),))
    assert stage.reader.ranges_of(1, Filter()) == [(1, Range(0, 1, 6, "shop", "dead", "log_damaged", 6))]


def test_each_source_has_a_range_of_its_own_however_their_events_alternate(stage: Stage, log: MemoryLog) -> None:
    open_lane(stage, log, "shop", "app")
    log.append(*["shop", "app"] * 50)
    for position in range(1, 101):
        source = "app" if position % 2 == 0 else "shop"
        span = Range(0, position, position, source, "filtered", "integration_disabled", 1)
        commit(stage, upto=position, ranges=(span,))
    assert stage.reader.ranges_of(1, Filter()) == [
        (1, Range(0, 1, 99, "shop", "filtered", "integration_disabled", 50)),
        (2, Range(0, 2, 100, "app", "filtered", "integration_disabled", 50)),
    ]
    assert [span.source for _, _, span in stage.reader.ranges(0, 51, "shop")] == ["shop"]
    assert stage.reader.counted(1) == stage.reader.recounted(1)


@pytest.mark.parametrize(
    "between", ["an outcome", "an outcome of one commit", "another fate", "the source was away", "a day"]
)
def test_a_range_takes_in_nothing_behind_what_went_otherwise(stage: Stage, log: MemoryLog, between: str) -> None:
    open_lane(stage, log)
    log.append(*["shop"] * 3)
    later = 0
    first, last = (Range(0, n, n, "shop", "filtered", "integration_disabled", 1) for n in (1, 3))
    if between == "an outcome of one commit":
        commit(stage, delivery(2, "delivered"), upto=3, ranges=(first, last))
        assert len(stage.reader.ranges_of(1, Filter())) == 2
        return
    commit(stage, upto=1, ranges=(first,))
    if between == "an outcome":
        commit(stage, delivery(2, "delivered"), upto=2)
    elif between == "another fate":
        commit(stage, upto=2, ranges=(Range(0, 2, 2, "shop", "dead", "log_damaged", 1),))
    elif between == "the source was away":
        open_lane(stage, log, "app")
        open_lane(stage, log, "shop")
    else:
        later = 86_400_000  # or it would never be old enough to go
    commit(stage, upto=3, ranges=(last,), at=later)
    spans = [span for _, span in stage.reader.ranges_of(1, Filter(code="integration_disabled"))]
    assert [(span.first, span.last, span.count) for span in spans] == [(1, 1, 1), (3, 3, 1)]


def test_a_replay_takes_the_place_of_what_it_repeats(stage: Stage, log: MemoryLog) -> None:
    open_lane(stage, log)
    log.append("shop")
    commit(stage, delivery(1, "dead", "poison"), upto=1)
    commit(stage, delivery(1, "delivered", generation=1, previous=("dead", None, "poison")))
    assert [(s.delivery.state, s.latest) for s in stage.reader.deliveries(0, 1)] == [
        ("dead", False),
        ("delivered", True),
    ]
    assert stage.reader.counted(1) == stage.reader.recounted(1) == [Counted("shop", "delivered", "accepted", None, 1)]


def test_a_replay_takes_single_events_out_of_a_range(stage: Stage, log: MemoryLog) -> None:
    open_lane(stage, log)
    log.append("shop", "shop")
    commit(stage, upto=2, ranges=(Range(0, 1, 2, "shop", "filtered", "integration_disabled", 2),))
    ((range_id, span),) = stage.reader.ranges_of(1, Filter())
    was = ("filtered", None, "integration_disabled")
    commit(stage, delivery(2, "delivered", generation=1, previous=was, replaces_range=range_id))
    assert stage.reader.positions(1, span) == {2}
    assert stage.reader.counted(1) == stage.reader.recounted(1)
    commit(stage, delivery(1, "delivered", generation=1, previous=was, replaces_range=range_id))
    assert stage.reader.ranges_of(1, Filter()) == []


def test_old_rows_go_and_their_counts_stay(stage: Stage, log: MemoryLog) -> None:
    open_lane(stage, log)
    log.append(*["shop"] * 4)
    exchange = Exchange(NOW_MS, 1, 0, 0, "POST", "https://vendor.example/", {}, b"body", 200)
    commit(stage, delivery(1, "delivered", exchanges=[exchange]), delivery(2, "retrying"), upto=2)
    commit(stage, delivery(3, "delivered"), upto=3, at=5_000)
    before = stage.reader.counted(1)
    assert stage.writer.prune(NOW_MS + 1) == 1
    assert stage.reader.deliveries(0, 1) == []
    assert [len(stage.reader.deliveries(0, n)) for n in (2, 3)] == [1, 1]
    assert stage.reader.counted(1) == stage.reader.recounted(1) == before


def test_rows_that_may_not_go_yet_hold_up_no_others(stage: Stage, log: MemoryLog) -> None:
    """More than are looked at in one step: all were replayed a moment ago, or wait."""
    open_lane(stage, log)
    log.append(*["shop"] * 15_000)
    commit(stage, *(delivery(n, "dead", "poison") for n in range(1, 12_001)), upto=12_000)
    commit(stage, *(delivery(n, "retrying") for n in range(12_001, 13_001)), upto=13_000)
    commit(stage, *(delivery(n, "delivered") for n in range(13_001, 15_001)), upto=15_000)
    commit(
        stage,
        *(delivery(n, "dead", "poison", generation=1, previous=("dead", None, "poison")) for n in range(1, 12_001)),
        at=DAY_MS,
    )
    before = stage.reader.counted(1)
    removed = sum(stage.writer.prune(NOW_MS + 60_000) for _ in range(60))
    assert removed == 12_000 + 2_000  # the older generations, and what was delivered
    assert {s.delivery.state for s in stage.reader.newest(1, 20_000)} == {"dead", "retrying"}
    assert stage.reader.counted(1) == stage.reader.recounted(1) == before


def test_ranges_and_minutes_go_with_their_age_and_their_counts_stay(stage: Stage, log: MemoryLog) -> None:
    open_lane(stage, log)
    log.append(*["shop"] * 6)
    old = Range(0, 1, 3, "shop", "filtered", "integration_disabled", 3)
    young = Range(0, 4, 6, "shop", "filtered", "integration_disabled", 3)
    commit(stage, upto=3, ranges=(old,))
    commit(stage, upto=6, ranges=(young,), at=2 * DAY_MS)
    before = stage.reader.counted(1)
    while stage.writer.prune(NOW_MS + DAY_MS + 1):
        pass
    assert [span for _, span in stage.reader.ranges_of(1, Filter())] == [young]
    assert [minute for minute, _ in stage.reader.minutes(1, 0)] == [(NOW_MS + 2 * DAY_MS) // 60_000]
    assert stage.reader.counted(1) == stage.reader.recounted(1) == before


@pytest.mark.parametrize("of", ["a delivery", "a range"])
def test_what_is_pruned_while_it_is_replayed_is_counted_once(stage: Stage, log: MemoryLog, of: str) -> None:
    open_lane(stage, log)
    log.append("shop", "shop")
    previous: tuple[str, str | None, str | None] = ("dead", None, "poison")
    range_id = None
    if of == "a delivery":
        commit(stage, delivery(1, "dead", "poison"), upto=2)
    else:
        commit(stage, upto=2, ranges=(Range(0, 1, 2, "shop", "filtered", "integration_disabled", 2),))
        ((range_id, _),) = stage.reader.ranges_of(1, Filter())
        previous = ("filtered", None, "integration_disabled")
    while stage.writer.prune(NOW_MS + 3 * DAY_MS):
        pass
    again = delivery(1, "retrying", generation=1, previous=previous, replaces_range=range_id)
    commit(stage, again, at=3 * DAY_MS)
    commit(stage, delivery(1, "delivered", generation=1, previous=("retrying", None, None)), at=3 * DAY_MS)
    assert stage.reader.counted(1) == stage.reader.recounted(1)


def test_what_keeps_an_event_from_being_sent_again_is_not_pruned(stage: Stage, log: MemoryLog) -> None:
    """Outcomes ahead of the cursor: without them the lane would not know, at its next start, that they were sent."""
    open_lane(stage, log)
    log.append("shop", "shop")
    commit(stage, delivery(2, "delivered"), upto=0)
    assert stage.writer.prune(NOW_MS + 1) == 0
    commit(stage, delivery(1, "delivered"), upto=2)
    assert stage.writer.prune(NOW_MS + 1) == 2


def test_what_a_replay_replaced_is_not_counted_when_it_is_pruned(stage: Stage, log: MemoryLog) -> None:
    open_lane(stage, log)
    log.append("shop")
    commit(stage, delivery(1, "dead", "poison"), upto=1)
    commit(stage, delivery(1, "delivered", generation=1, previous=("dead", None, "poison")))
    assert stage.writer.prune(NOW_MS + 1) == 2
    assert stage.reader.counted(1) == stage.reader.recounted(1) == [Counted("shop", "delivered", "accepted", None, 1)]


# -- notes -------------------------------------------------------------------------------------------------------------


def test_what_a_process_noted_is_there_for_the_next_one(stage: Stage) -> None:
    stage.writer.set_run_value("lane:toy", "open")
    stage.writer.set_run_value("lane:toy", "closed")
    stage.reopen()
    assert stage.writer.run_value("lane:toy") == stage.reader.run_value("lane:toy") == "closed"
    assert stage.writer.run_value("nobody") is None


# -- sources -----------------------------------------------------------------------------------------------------------


async def test_a_source_that_joins_begins_where_the_lane_stands(stage: Stage, log: MemoryLog) -> None:
    """Not where the log ends: the lane has a backlog, and will read the new source's events in it."""
    open_lane(stage, log, "shop")
    log.append("shop", "app", "shop", "app", "app")
    commit(stage, delivery(1, "delivered"), upto=2)
    stage.reopen()
    lane = open_lane(stage, log, "shop", "app")
    assert lane.counted == {(0, "shop"): 1, (0, "app"): 1}
    counts = await accounts(stage, log)
    assert (counts.received, counts.pending, counts.balanced) == (4, 3, True)


async def test_a_source_that_leaves_keeps_what_was_counted(stage: Stage, log: MemoryLog) -> None:
    open_lane(stage, log, "shop", "app")
    log.append("shop", "app", "app")
    commit(stage, delivery(1, "delivered"), delivery(2, "delivered", source="app"), upto=2)
    lane = open_lane(stage, log, "shop")
    assert lane.counted == {(0, "shop"): 1}
    counts = await accounts(stage, log)
    assert (counts.received, counts.delivered, counts.pending, counts.balanced) == (2, 2, 0, True)


async def test_a_source_that_comes_back_goes_on_from_there(stage: Stage, log: MemoryLog) -> None:
    open_lane(stage, log, "shop", "app")
    log.append("app", "app")
    commit(stage, delivery(1, "delivered", source="app"), upto=1)
    open_lane(stage, log, "shop")
    commit(stage, upto=2)  # the second one passed while nobody took the source's events
    log.append("app")
    open_lane(stage, log, "shop", "app")
    counts = await accounts(stage, log)
    assert (counts.received, counts.delivered, counts.pending, counts.balanced) == (2, 1, 1, True)


async def test_a_source_that_comes_back_at_once_is_not_counted_twice(stage: Stage, log: MemoryLog) -> None:
    """With an outcome ahead of the cursor, which the lane will meet again."""
    open_lane(stage, log, "shop", "app")
    log.append("shop", "app")
    commit(stage, delivery(2, "delivered", source="app"), upto=0)
    open_lane(stage, log, "shop")
    assert open_lane(stage, log, "shop", "app").counted == {(0, "shop"): 0, (0, "app"): 0}
    counts = await accounts(stage, log)
    assert (counts.received, counts.delivered, counts.pending, counts.balanced) == (2, 1, 1, True)
