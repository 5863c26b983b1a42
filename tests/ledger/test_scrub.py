"""What an erasure leaves of a visitor's rows in the ledger, and of others' that mention them."""

from collections.abc import Iterator
from typing import Any

import pytest
from tests.contract.ledgers import NOW_MS, SqliteStage, delivery, sqlite_stage

from firsthand.identity.erasure import Fate, Match
from firsthand.identity.profile import Ref
from firsthand.ledger.finding import Found, Key
from firsthand.ledger.records import Delivery, Exchange, Failure, LaneBatch
from firsthand.ledger.scrub import end
from firsthand.reasons import Reason
from firsthand.vendors.base import Identity

ANN = "ann@example.com"
MATCH = Match({"shop": [Ref("u", "u-ann"), Ref("e", ANN)]}, {})


@pytest.fixture
def stage() -> Iterator[SqliteStage]:
    with sqlite_stage() as stage:
        stage.writer.open_lane("toy", "vendor", ["shop"], {0: 0}, lambda shard, position: {})
        yield stage


def dead(position: int, identity: Identity | None = None) -> Delivery:
    one = delivery(
        position,
        "dead",
        "vendor_rejected",
        exchanges=[
            Exchange(
                NOW_MS, 5, 0, 0, "POST", f"https://vendor.example/in?m={ANN}", {"x-who": ANN}, ANN.encode(), 400,
                {"x-for": ANN}, b"not " + ANN.encode(), Failure("cut", True, f"{ANN} was cut off"),
            )
        ] * 2,
    )  # fmt: skip
    one.event = b'{"email":"%s","note":"x"}' % ANN.encode()
    one.detail.identity, one.detail.sent_sha256, one.detail.warnings = identity, "abc", f"what is {ANN}?"
    one.detail.reason = Reason("vendor_rejected", "properties.email", f"{ANN} is unknown")
    return one


def scrubbed(stage: SqliteStage, fate: Fate, *deliveries: Delivery) -> int:
    stage.writer.commit([LaneBatch(lane=1, deliveries=list(deliveries), cursors={0: len(deliveries)})], NOW_MS)
    rows = [Found(Key(1, 0, d.position, 0), "dead", fate, "shop") for d in deliveries]
    return stage.writer.scrub(rows, MATCH)


def left(stage: SqliteStage, position: int) -> tuple[Any, list[Exchange]]:
    (stored,) = stage.reader.deliveries(0, position)
    return stored.delivery, stage.reader.attempts(stored)


def test_of_a_visitors_own_row_only_how_it_ended_stays(stage: SqliteStage) -> None:
    assert scrubbed(stage, "theirs", dead(1, Identity({}, ANN, "u-ann")), dead(2)) == 4
    row, attempts = left(stage, 1)
    assert (row.state, row.visitor, row.message_id, row.event) == ("dead", 0, None, None)
    assert row.detail.reason == Reason("vendor_rejected", "properties.email")
    assert (row.detail.identity, row.detail.sent_sha256, row.detail.warnings) == (None, None, None)
    bare = Exchange(
        NOW_MS, 5, 0, 0, "POST", "https://vendor.example/in", {}, None, 400, {}, b"", Failure("cut", True, "")
    )
    assert attempts == [bare, bare]
    assert stage.reader.counted(1) == stage.reader.recounted(1)


def test_of_anothers_row_only_the_mention_goes(stage: SqliteStage) -> None:
    somebody = Identity({"gum": "g-bob"}, "bob@example.com", "u-bob")
    assert scrubbed(stage, "mentions", dead(1, somebody)) == 2
    row, attempts = left(stage, 1)
    assert (row.visitor, row.message_id) == (7, "m1")
    assert row.event == b'{"email":"[erased]","note":"x"}'
    assert row.detail.identity == somebody
    assert row.detail.sent_sha256 == "abc"
    assert [(one.url, one.body) for one in attempts] == [("https://vendor.example/in?m=[erased]", b"[erased]")] * 2
    assert {one.response_body for one in attempts} == {b"not [erased]"}


def test_what_went_out_under_their_name_goes_from_anothers_row_as_a_whole(stage: SqliteStage) -> None:
    """A guest's event that was sent with the address of whoever used the browser before."""
    scrubbed(stage, "mentions", dead(1, Identity({}, ANN, None)))
    row, attempts = left(stage, 1)
    assert (row.visitor, row.message_id) == (7, "m1")
    assert (row.detail.identity, row.detail.sent_sha256) == (None, None)
    assert {(one.url, one.body) for one in attempts} == {("https://vendor.example/in", None)}


def test_a_row_that_is_gone_meanwhile_is_no_fault(stage: SqliteStage) -> None:
    gone = Found(Key(1, 0, 9, 0), "dead", "theirs", "shop")
    assert stage.writer.scrub([gone], MATCH) == 0


def test_what_still_waited_ends_as_erased() -> None:
    one = delivery(1, "held", certainty="unverifiable")
    one.detail.identity = Identity({}, ANN, "u-ann")
    end(one)
    assert (one.state, one.code, one.next_ms, one.certainty, one.event) == ("filtered", "erased", None, None, None)
    assert one.detail.identity is None
