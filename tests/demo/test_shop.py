"""The demo's hour is one that a shop could have had, and the same each time."""

from collections import Counter

import msgspec
import pytest

from firsthand.collect.complete import complete
from firsthand.collect.faults import Fault
from firsthand.collect.parse import Wire
from firsthand.consent import Decision, Policy, decide
from firsthand.demo.shop import HOUR, Hour, Sent, an_hour
from firsthand.demo.traffic import batches
from firsthand.event import Event, canonical_name, format_time, parse_time
from firsthand.reasons import Filtered
from firsthand.vendors import get
from firsthand.vendors.base import Identity, Input, Setup

END = parse_time("2026-11-22T11:00:00Z")
VENDOR = get("criteo-s2s")
SETUP = Setup(VENDOR.settings(partner_id="12345", mapping_key="123"), {"events": "http://localhost/m/event"})


@pytest.fixture(scope="module")
def hour() -> Hour:
    return an_hour(END, 1000)


def received(sent: Sent) -> Event:
    """The event that the collector makes of a call."""
    wire = msgspec.convert(sent.call, Wire)
    return complete(wire, now_ms=END, received_at=format_time(END))


def outcome(sent: Sent) -> str:
    """What comes of a call at Criteo: the code of a reason, or `sent`."""
    try:
        event = received(sent)
    except Fault as fault:
        return fault.code
    name = canonical_name(event)
    if name not in VENDOR.events:
        return "not_mapped"
    policy = Policy(basis="categories", vendor_id=VENDOR.tcf_vendor_id)
    if (decision := decide(event, policy)).decision != "allow":
        return decision.decision
    try:
        VENDOR.build(SETUP, [Input(event, name, Identity(), decision)])
    except Filtered as reason:
        return reason.reason.code
    return "sent"


def test_the_same_hour_each_time(hour: Hour) -> None:
    assert an_hour(END, 1000) == hour
    assert an_hour(END, 1000, number=2) != hour


def test_it_is_the_last_hour_in_order_of_time(hour: Hour) -> None:
    times = [parse_time(sent.call["timestamp"]) for sent in hour.sent]
    assert times == sorted(times)
    assert END - HOUR * 1000 <= times[0] <= times[-1] < END


def test_there_are_about_as_many_events_as_asked_for_and_no_id_stands_twice(hour: Hour) -> None:
    assert 1000 <= len(hour.sent) < 1030
    assert len({sent.call["messageId"] for sent in hour.sent}) == len(hour.sent)


def test_most_visitors_look_and_few_buy(hour: Hour) -> None:
    events = Counter(sent.call.get("event", sent.call["type"]) for sent in hour.sent)
    assert events["Product Viewed"] > events["Product Added"] > events["Checkout Started"] > 0
    assert {"page", "identify", "Signed In", "Products Searched", "Cart Viewed", "Order Completed"} <= events.keys()
    assert sum(sent.source == "tills" for sent in hour.sent) > 3


def test_what_goes_wrong_is_what_is_meant_to(hour: Hour) -> None:
    outcomes = {sent.call["messageId"]: outcome(sent) for sent in hour.sent}
    assert outcomes["by-nobody"] == "field_missing"
    assert outcomes["order-without-id"] == "field_missing"
    assert outcomes["popup-1"] == "not_mapped"
    assert outcomes[hour.broken] == "field_invalid"
    assert outcomes[hour.refused] == "refuse"
    assert {outcomes[sale] for sale in hour.sales} == {"sent"}
    wrong = Counter(outcome for id, outcome in outcomes.items() if len(id) == 36)
    assert wrong.keys() == {"sent", "refuse", "no_counterpart"}


def test_each_change_of_the_basket_tells_all_of_it(hour: Hour) -> None:
    """What Raptor needs, which is told the whole basket, beside what was added, which Criteo takes."""
    raptor = get("raptor")
    setup = Setup(raptor.settings(customer_id="1234"), {"tracking": "http://localhost"})
    names = {"Product Added", "Product Removed"}
    for event in (received(sent) for sent in hour.sent if sent.call.get("event") in names):
        event.context["ids"] = {"raptor_coid": "3f25" * 8, "raptor_sid": "9b2d" * 8}
        given = Input(event, event.event or "", Identity(), Decision("allow", "none"))
        (request,) = raptor.build(setup, [given]).requests
        assert "?p1=basket&" in request.url
        if event.event == "Product Added":
            assert event.properties["product_id"] in request.url


def test_requests_hold_one_source_each_and_keep_the_order(hour: Hour) -> None:
    requests = batches(hour.sent)
    for source in ("web", "tills"):
        calls = [call for of, batch in requests if of == source for call in batch]
        assert calls == [sent.call for sent in hour.sent if sent.source == source]
    assert max(len(batch) for _, batch in requests) == 20
