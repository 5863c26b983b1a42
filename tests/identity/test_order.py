"""Whatever the order in which events arrive, and wherever the process dies: the same is known in the end."""

import tempfile
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.identity.shop import GUM, NOW_MS, SECOND, Shop, event, sync

from firsthand.event import Event

PEOPLE = ("a-1", "a-2", "a-3")
USERS = ("u-1", "u-2")
CONSENTS: tuple[dict[str, Any], ...] = (
    {"categories": {"marketing": True}},
    {"categories": {"marketing": False}},
    {"gpc": True},
)


@st.composite
def histories(draw: st.DrawFn) -> list[Event]:
    """Events at different times."""
    times = draw(st.lists(st.integers(0, 5_000), min_size=1, max_size=12, unique=True))
    return [draw(happenings(at)) for at in times]


@st.composite
def happenings(draw: st.DrawFn, at: int) -> Event:
    me, user = draw(st.sampled_from(PEOPLE)), draw(st.sampled_from((None, *USERS)))
    match draw(st.sampled_from(("view", "identify", "sync", "optout", "alias", "rename", "back end"))):
        case "view":
            ids = {"ids": {GUM: draw(st.sampled_from(("g-1", "g-2")))}} if draw(st.booleans()) else {}
            return event(at, anonymous_id=me, user_id=user, consent=draw(st.sampled_from(CONSENTS)), **ids)
        case "identify":
            return event(
                at, "identify", anonymous_id=me, user_id=user, email=draw(st.sampled_from(("a@x.de", "b@x.de")))
            )
        case "sync":
            return sync(at, "OK", draw(st.sampled_from(("g-1", "g-2"))), anonymous_id=me)
        case "optout":
            return sync(at, "OptOut", anonymous_id=me)
        case "alias":
            return event(at, "alias", previous_id=me, user_id=draw(st.sampled_from(USERS)))
        case "rename":
            return event(at, anonymous_id=me, previous_id=draw(st.sampled_from(PEOPLE)))
    return event(at, user_id=draw(st.sampled_from(USERS)), email="c@x.de")


def known(shop: Shop) -> dict[object, object]:
    """All that can be asked."""
    found: dict[object, object] = {}
    for me in (None, *PEOPLE):
        for user in (None, *USERS):
            known = shop.known(me, user)
            ids = [shop.gum(me, user, at) for at in (0, 2_500, 6_000)]
            opted = [known.opted_out(GUM, value, NOW_MS + at * SECOND) for value in ("g-1", "g-2") for at in (0, 6_000)]
            answers = [sorted(circle, key=repr) for circle in known.answers]
            found[me, user] = (ids, opted, answers, known.email, known.user_id)
    return found


@settings(max_examples=150, deadline=None)
@given(histories(), st.randoms(use_true_random=False), st.integers(0, 12))
def test_the_order_of_arrival_does_not_matter(history: list[Event], random: Any, death: int) -> None:
    shuffled = list(history)
    random.shuffle(shuffled)
    with tempfile.TemporaryDirectory() as one, tempfile.TemporaryDirectory() as other:
        straight, crooked = Shop(Path(one)), Shop(Path(other))
        straight.see(*sorted(history, key=lambda event: event.timestamp))
        crooked.see(*shuffled[:death])
        crooked.reopen()
        for single in shuffled[death:]:
            crooked.see(single)
        crooked.reopen()
        assert known(crooked) == known(straight)
        straight.hub.close()
        crooked.hub.close()
