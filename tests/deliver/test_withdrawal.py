"""A visitor who has said no since is not sent, whatever else is known of them and whatever has happened meanwhile."""

from typing import Any

import pytest
from tests.consent.tc_strings import GRANTS_CRITEO, REFUSES_VENDOR
from tests.deliver.toys import says
from tests.deliver.world import Consent, World, event, toy

from firsthand.event import Event

ASK = Consent(basis="categories")
TCF = Consent(basis="tcf")
YES: dict[str, Any] = {"categories": {"marketing": True}}
NO: dict[str, Any] = {"categories": {"marketing": False}}
TCF_YES: dict[str, Any] = {"tcf": {"gdprApplies": True, "tcString": GRANTS_CRITEO}}
TCF_NO: dict[str, Any] = {"tcf": {"gdprApplies": True, "tcString": REFUSES_VENDOR}}
REFUSED = ("filtered", "consent_refused")


def order(message_id: str, consent: dict[str, Any] | None = None, visitor: str = "v", **more: Any) -> Event:
    return event(message_id, visitor=visitor, context={"consent": consent} if consent else {}, **more)


def answer(message_id: str, consent: dict[str, Any], visitor: str = "v", **more: Any) -> Event:
    return event(message_id, "Consent Updated", visitor, context={"consent": consent}, **more)


def of_user(sent: Event) -> Event:
    """As a back end sends it, which knows the user and no browser."""
    sent.anonymous_id = None
    return sent


def synced(message_id: str, status: str, **context: Any) -> Event:
    sync = {"vendor": "toy", "caller": "caller-1", "status": status}
    sent = event(message_id, visitor="v", properties={"sync": sync}, context={"consent": YES, **context})
    sent.type, sent.event = "identify", None
    return sent


@pytest.mark.parametrize(
    "beside",
    [{"usPrivacy": "1---"}, {"categories": {"analytics": True}}, {"tcf": {"gdprApplies": True}, "usPrivacy": "1YNN"}],
)
@pytest.mark.parametrize(("rule", "yes", "no"), [(ASK, YES, NO), (TCF, TCF_YES, TCF_NO)])
async def test_retries_stop_also_where_something_else_was_answered_since(
    world: World, rule: Consent, yes: dict[str, Any], no: dict[str, Any], beside: dict[str, Any]
) -> None:
    world.answer = lambda call: says({"later": True})
    await world.start(toy(consent=rule))
    await world.collect(order("m1", yes))
    await world.advance(0.5)
    tried = len(world.calls)
    await world.collect(answer("no", no))
    world.clock.passed += 0.001
    await world.collect(answer("beside", beside))
    await world.advance(60)
    assert world.state("m1") == REFUSED
    assert len(world.calls) == tried


async def test_where_no_consent_is_asked_a_refusal_counts_until_the_visitor_agrees(world: World) -> None:
    await world.start(toy())
    await world.collect(answer("no", NO))
    await world.advance(1)
    await world.collect(answer("beside", {"categories": {"analytics": True}}))
    await world.advance(1)
    await world.collect(order("m1"))
    await world.advance(1)
    await world.collect(answer("yes", YES), order("m2"))
    await world.settle()
    assert world.state("m1") == REFUSED
    assert world.state("m2") == ("delivered", None)


async def test_an_answer_is_not_lost_behind_one_that_says_less(world: World) -> None:
    await world.start(toy(consent=TCF))
    await world.collect(answer("yes", TCF_YES))
    await world.advance(1)
    await world.collect(order("m1", {"usPrivacy": "1---"}))
    await world.settle()
    assert world.state("m1") == ("delivered", None)


async def test_what_is_refused_in_a_browser_holds_for_the_users_back_end(world: World) -> None:
    await world.start(toy(consent=ASK))
    await world.collect(of_user(answer("crm", YES, user_id="u1")))
    await world.advance(60)
    await world.collect(answer("no", NO, "a1", user_id="u1"))
    await world.advance(60)
    await world.collect(of_user(order("m1", user_id="u1")))
    await world.settle()
    assert world.state("m1") == REFUSED


async def test_what_a_user_refuses_elsewhere_holds_in_the_browser(world: World) -> None:
    """As in a preference centre, whose back end knows the user and no browser."""
    world.answer = lambda call: says({"later": True})
    await world.start(toy(consent=ASK))
    await world.collect(order("m1", YES, "a1", user_id="u1"))
    await world.advance(0.5)
    await world.collect(of_user(answer("no", NO, user_id="u1")))
    await world.advance(60)
    await world.collect(order("m2", visitor="a1", user_id="u1"))
    await world.settle()
    assert world.state("m1") == world.state("m2") == REFUSED


@pytest.mark.parametrize("end", ["stop", "crash"])
async def test_a_refusal_after_a_moment_of_agreement_outlives_the_process(world: World, end: str) -> None:
    await world.start(toy(consent=ASK))
    for message_id, said in (("no", NO), ("yes", YES), ("no-again", NO)):
        await world.collect(answer(message_id, said))
        await world.advance(60)
    await getattr(world, end)()
    await world.start(toy(consent=ASK))
    await world.collect(order("m1"))
    await world.settle()
    assert world.state("m1") == REFUSED


async def test_what_was_answered_abroad_does_not_count_where_gdpr_applies(world: World) -> None:
    await world.start(toy(consent=TCF))
    await world.collect(answer("abroad", {"tcf": {"gdprApplies": False}}))
    await world.advance(60)
    await world.collect(order("m1", {"tcf": {"gdprApplies": True}}))
    await world.settle()
    assert world.state("m1") == ("held", None)


async def test_an_opt_out_is_not_undone_by_the_same_id_without_its_caller(world: World) -> None:
    await world.start(toy(consent=ASK))
    await world.collect(synced("s1", "OK", ids={"toy_id@caller-1": "abc"}))
    await world.advance(60)
    await world.collect(synced("s2", "OptOut"))
    await world.advance(60)
    await world.collect(event("m1", visitor="v", context={"consent": YES, "ids": {"toy_id": "abc"}}))
    await world.settle()
    assert (world.calls[0].json["consent"], world.calls[0].json["ids"]) == ("anonymise", {})


async def test_a_retry_goes_without_an_id_that_was_opted_out_of_meanwhile(world: World) -> None:
    world.answer = lambda call: says({"later": True})
    await world.start(toy(consent=ASK))
    await world.collect(event("m1", visitor="v", context={"consent": YES, "ids": {"toy_id@caller-1": "old"}}))
    await world.advance(0.2)
    await world.collect(synced("s1", "OptOut"))
    await world.advance(0.1)
    await world.collect(answer("new", YES))
    await world.collect(event("page", "Consent Updated", "v", context={"consent": YES, "ids": {"toy_id": "new"}}))
    await world.advance(30)
    assert world.calls[0].json["ids"] == {"toy_id": "old"}
    assert len(world.calls) > 1
    assert all(call.json["ids"] != {"toy_id": "old"} for call in world.calls[1:])
