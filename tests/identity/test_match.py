"""Which events are a visitor's, and which of others' mention them."""

import pytest
from tests.identity.shop import event

from firsthand.event import Event, encoder
from firsthand.identity.erasure import Match
from firsthand.identity.mentions import Redaction
from firsthand.identity.profile import Ref
from firsthand.vendors.base import Identity
from firsthand.vendors.hashing import md5, sha256

ANN = "ann@example.com"
MATCH = Match({"shop": [Ref("a", "ann's"), Ref("u", "ann"), Ref("e", ANN)]}, {"shop": [Ref("a", "family")]})


def fate(event: Event) -> str | None:
    return MATCH.event("shop", event, encoder.encode(event))


def page(url: str, **fields: str) -> Event:
    return event(**fields, properties={"url": url})


@pytest.mark.parametrize(
    "hers",
    [
        event(anonymous_id="ann's"),
        event(anonymous_id="any", user_id="ann"),
        event(anonymous_id="any", email=" Ann@Example.COM"),
        event(user_id=ANN),
        event(anonymous_id=ANN.upper()),
        event(anonymous_id="any", ids={"raptor_ruid": ANN}),
        event(anonymous_id="any", email=sha256(ANN)),
        event(anonymous_id="any", email=md5(ANN).upper()),
        event(anonymous_id="any", email=sha256(md5(ANN))),
        event(anonymous_id="family"),
        page("https://shop.example/?m=ann@example.com&x", anonymous_id="any"),
        page("https://shop.example/?m=ann%40example.com", anonymous_id="any"),
        page("https://shop.example/?next=%2Fx%3Fm%3Dann%2540example.com", anonymous_id="any"),
    ],
)
def test_an_event_that_names_the_visitor_is_theirs(hers: Event) -> None:
    assert fate(hers) == "theirs"


@pytest.mark.parametrize(
    "others",
    [
        event(anonymous_id="x", user_id="joann", email="joann@example.com"),
        event(anonymous_id="x", email="ann@example.com.au"),
        event(anonymous_id=sha256("ann's")),  # shops hash addresses, not ids
        event(anonymous_id="x", email=sha256("joann@example.com")),
        event(anonymous_id="family", user_id="bob"),
        page("https://shop.example/?m=joann@example.com", anonymous_id="x"),
        page("https://shop.example/?m=hello%2Bann%40example.com", anonymous_id="x"),
    ],
)
def test_an_address_that_holds_the_visitors_is_another_one(others: Event) -> None:
    assert fate(others) is None


@pytest.mark.parametrize(
    "mention",
    [
        event(anonymous_id="x", properties={"seller": "Ann <ann@example.com>"}),
        event(anonymous_id="x", user_id="bob", properties={"products": [{"seller": ANN.upper()}]}),
        event(anonymous_id="x", user_id="bob", email=ANN),
        page("https://shop.example/admin?customer=ann%40example.com", user_id="bob"),
    ],
)
def test_an_event_of_somebody_else_only_mentions_the_visitor(mention: Event) -> None:
    assert fate(mention) == "mentions"


@pytest.mark.parametrize(
    ("sent", "hers"),
    [
        (Identity(user_id="ann"), True),
        (Identity(email=" Ann@example.com"), True),
        (Identity(user_id="bob", email=ANN), True),
        (Identity(user_id="ann", email="bob@example.com"), True),
        (Identity(user_id="bob", email="bob@example.com"), False),
        (Identity(vendor_ids={"criteo_gum_id": "ann"}), False),
        (None, False),
    ],
)
def test_a_delivery_that_was_sent_with_the_visitors_name_is_theirs(sent: Identity | None, hers: bool) -> None:
    assert MATCH.identity("shop", sent) is hers
    assert not MATCH.identity("another shop", sent)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b'{"a":"ann@example.com","n":1.50}', b'{"a":"[erased]","n":1.50}'),
        (b'{"a":"to\\nAnn@Example.com, joann@example.com"}', b'{"a":"to\\n[erased], joann@example.com"}'),
        (b'{"a":"ann\\u0040example.com"}', b'{"a":"[erased]"}'),
        (b'{"u":"/?m=ann%40example.com&n=1"}', b'{"u":"/?m=[erased]&n=1"}'),
        (b'{"h":"%s"}' % md5(ANN).encode(), b'{"h":"[erased]"}'),
        (b"m=ann%40example.com&n=\xff", b"m=[erased]&n=\xff"),
    ],
)
def test_a_mention_is_taken_out_of_a_body_and_nothing_else(before: bytes, after: bytes) -> None:
    redaction = Redaction([ANN, md5(ANN)])
    assert redaction.body(before) == after
    assert redaction.body(after) == after
