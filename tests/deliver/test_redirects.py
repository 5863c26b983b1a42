"""Redirects: followed where personal data may go, refused elsewhere."""

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise

import pytest
from tests.deliver.clock import FakeClock
from tests.deliver.toys import failure, ok, status
from tests.deliver.world import Result, World, toy
from tests.deliver.world import event as new_event

from firsthand.deliver.redirects import REMEMBER_SECONDS, RedirectRefused, Sender
from firsthand.ledger.records import Exchange
from firsthand.vendors.base import Answer, Request

ENTRY = "https://entry.toy.example/m/event?version=1&gra=1"
BODY = b'{"email":"ann@example.com"}'


class Net:
    """Answers by URL; what it has no answer for is accepted."""

    def __init__(self) -> None:
        self.answers: dict[str, Result] = {}
        self.asked: list[str] = []
        self.bodies: list[bytes | None] = []

    async def send(self, method: str, url: str, headers: Mapping[str, str], body: bytes | None) -> Result:
        self.asked.append(url)
        self.bodies.append(body)
        return self.answers.get(url, ok())

    async def close(self) -> None: ...


@pytest.fixture
def net() -> Net:
    return Net()


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def sender(net: Net, clock: FakeClock) -> Sender:
    return Sender(net, ("*.toy.example", "toy.example"), clock)


async def send(sender: Sender, url: str = ENTRY) -> tuple[Result | RedirectRefused, Sequence[Exchange]]:
    return await sender.send(Request("POST", url, {}, BODY), 0)


FOLLOWED = [
    # why, where we are sent, where we go
    ("another host of the vendor", "https://eu.toy.example/m/event?version=1&gra=1", None),
    ("https it stays", "http://eu.toy.example/m/event?version=1&gra=1", "https://eu.toy.example/m/event?version=1&gra=1"),
    ("port 80 is http's", "http://eu.toy.example:80/x?version=1&gra=1", "https://eu.toy.example/x?version=1&gra=1"),
    ("another port is kept", "http://eu.toy.example:8443/x?version=1&gra=1", "https://eu.toy.example:8443/x?version=1&gra=1"),
    ("a lost query is restored", "https://eu.toy.example/x", "https://eu.toy.example/x?version=1&gra=1"),
    ("what the redirect says itself is kept", "https://eu.toy.example/x?gra=0&new=1", "https://eu.toy.example/x?gra=0&new=1&version=1"),
    ("a relative one", "/other?version=1&gra=1", "https://entry.toy.example/other?version=1&gra=1"),
    ("without a scheme", "//eu.toy.example/x?version=1&gra=1", "https://eu.toy.example/x?version=1&gra=1"),
    ("a fragment means nothing", "https://eu.toy.example/x?version=1&gra=1#top", "https://eu.toy.example/x?version=1&gra=1"),
    ("capital letters", "HTTPS://EU.TOY.EXAMPLE/x?version=1&gra=1", None),
]  # fmt: skip


@pytest.mark.parametrize(("why", "location", "target"), FOLLOWED, ids=[why for why, _, _ in FOLLOWED])
@pytest.mark.parametrize("code", [307, 308])
async def test_followed(net: Net, sender: Sender, code: int, why: str, location: str, target: str | None) -> None:
    net.answers[ENTRY] = status(code, location=location)
    result, exchanges = await send(sender)
    assert result == ok()
    assert net.asked[1].lower() == (target or location).lower()
    assert net.bodies == [BODY, BODY]
    assert [(exchange.hop, exchange.status) for exchange in exchanges] == [(0, code), (1, 200)]


REFUSED = [
    ("a stranger", status(307, location="https://evil.example/x"), "evil.example"),
    ("our name within another", status(307, location="https://toy.example.evil.example/x"), "no host of this vendor"),
    ("our name before the @", status(307, location="https://eu.toy.example@evil.example/x"), "evil.example"),
    ("nowhere", status(307), "without a Location"),
    ("nothing", status(307, location=""), "without a Location"),
    ("a file", status(307, location="file:///etc/passwd"), "file:"),
    ("a script", status(307, location="javascript:alert(1)"), "javascript:"),
    ("no URL", status(307, location="https://[::1"), "not a URL"),
    ("a port that is none", status(307, location="https://eu.toy.example:99999/"), "not a URL"),
    ("301 may become GET", status(301, location="https://eu.toy.example/x"), "HTTP 301"),
    ("302 may become GET", status(302, location="https://eu.toy.example/x"), "HTTP 302"),
    ("303 becomes GET", status(303, location="https://eu.toy.example/x"), "HTTP 303"),
    ("304 is no answer", status(304), "HTTP 304"),
    ("itself", status(307, location=ENTRY), "circle"),
]  # fmt: skip


@pytest.mark.parametrize(("why", "answer", "message"), REFUSED, ids=[why for why, _, _ in REFUSED])
async def test_refused(net: Net, sender: Sender, why: str, answer: Answer, message: str) -> None:
    net.answers[ENTRY] = answer
    result, exchanges = await send(sender)
    assert isinstance(result, RedirectRefused)
    assert message in result.message
    assert net.asked == [ENTRY]
    assert len(exchanges) == 1


def chain(net: Net, hops: int) -> None:
    """Each address redirects to the next."""
    places = [ENTRY, *(f"https://h{n}.toy.example/x?version=1&gra=1" for n in range(1, hops + 1))]
    for place, following in pairwise(places):
        net.answers[place] = status(307, location=following)


async def test_three_hops_are_followed_and_no_more(net: Net, sender: Sender) -> None:
    chain(net, 3)
    result, exchanges = await send(sender)
    assert result == ok()
    assert [exchange.hop for exchange in exchanges] == [0, 1, 2, 3]


async def test_a_fourth_hop_is_refused(net: Net, sender: Sender) -> None:
    chain(net, 4)
    result, _ = await send(sender)
    assert isinstance(result, RedirectRefused)
    assert "more than 3" in result.message
    assert len(net.asked) == 4


async def test_a_circle_is_refused(net: Net, sender: Sender) -> None:
    other = "https://eu.toy.example/x?version=1&gra=1"
    net.answers |= {ENTRY: status(307, location=other), other: status(307, location=ENTRY)}
    result, _ = await send(sender)
    assert isinstance(result, RedirectRefused)
    assert "circle" in result.message


async def test_a_configured_endpoint_may_redirect_on_its_own_host(net: Net, clock: FakeClock) -> None:
    """Also to http where it is http itself, as an emulator on this machine is."""
    entry = "http://127.0.0.1:9090/toy/m/event"
    net.answers[entry] = status(307, location="http://127.0.0.1:9090/toy/eu/m/event")
    result, _ = await send(Sender(net, (), clock), entry)
    assert result == ok()


# -- remembering -------------------------------------------------------------------------------------------------------

EU = "https://eu.toy.example/m/event"


def to_eu(query: str = "version=1&gra=1") -> Answer:
    return status(307, location=f"{EU}?{query}")


async def test_where_it_led_is_remembered(net: Net, sender: Sender) -> None:
    net.answers[ENTRY] = to_eu()
    await send(sender)
    await send(sender)
    assert net.asked == [ENTRY, f"{EU}?version=1&gra=1", f"{EU}?version=1&gra=1"]


async def test_each_request_keeps_its_own_query(net: Net, sender: Sender) -> None:
    net.answers[ENTRY] = to_eu()
    await send(sender)
    await send(sender, ENTRY.replace("gra=1", "gra=0"))
    assert net.asked[-1] == f"{EU}?version=1&gra=0"


async def test_after_an_hour_the_entry_is_asked_again(net: Net, sender: Sender, clock: FakeClock) -> None:
    net.answers[ENTRY] = to_eu()
    await send(sender)
    clock.passed += REMEMBER_SECONDS + 1
    await send(sender)
    assert net.asked[2] == ENTRY


async def test_a_remembered_place_that_is_refused_is_forgotten(net: Net, sender: Sender) -> None:
    net.answers[ENTRY] = to_eu()
    await send(sender)
    net.answers[f"{EU}?version=1&gra=1"] = status(302, location="https://moved.toy.example/")
    net.answers[ENTRY] = status(307, location="https://us.toy.example/m/event?version=1&gra=1")
    result, exchanges = await send(sender)
    assert result == ok()
    assert net.asked[2:] == [f"{EU}?version=1&gra=1", ENTRY, "https://us.toy.example/m/event?version=1&gra=1"]
    assert len(exchanges) == 3


async def test_a_remembered_place_that_is_gone_is_forgotten(net: Net, sender: Sender) -> None:
    net.answers[ENTRY] = to_eu()
    await send(sender)
    net.answers[f"{EU}?version=1&gra=1"] = failure("connect", sent=False)
    result, _ = await send(sender)
    assert result == failure("connect", sent=False)
    await send(sender)
    assert net.asked[3] == ENTRY


@pytest.mark.parametrize("answer", [status(400), status(500), failure("timeout", sent=True)])
async def test_other_trouble_at_a_remembered_place_changes_nothing(net: Net, sender: Sender, answer: Result) -> None:
    net.answers[ENTRY] = to_eu()
    await send(sender)
    net.answers[f"{EU}?version=1&gra=1"] = answer
    await send(sender)
    await send(sender)
    assert net.asked.count(ENTRY) == 1


# -- in a delivery -----------------------------------------------------------------------------------------------------


def first(*answers: Result) -> Callable[[object], Result]:
    left = list(answers)
    return lambda call: left.pop(0) if left else ok()


async def test_a_hop_uses_up_no_try(world: World) -> None:
    world.answer = first(*[status(307, location=f"https://h{n}.toy.example/") for n in range(3)])
    await world.start(toy(max_attempts=1))
    await world.collect(new_event("m1"))
    await world.settle()
    assert world.state("m1") == ("delivered", None)
    assert [exchange.hop for exchange in world.attempts("m1")] == [0, 1, 2, 3]
    assert world.delivery("m1").delivery.detail.tries == 1


async def test_a_refused_redirect_is_final_and_says_why(world: World) -> None:
    world.answer = first(status(307, location="https://evil.example/"))
    await world.start(toy())
    await world.collect(new_event("m1"))
    await world.settle()
    assert world.state("m1") == ("dead", "redirect_refused")
    assert "evil.example" in world.message("m1")
