"""The shops that send, and the clients that mean no good."""

import contextlib
import http.client
import json
import random
import socket
import time
from collections import deque
from collections.abc import Iterator
from typing import Any

from tests.faults.test_hostile_events import ADDRESS, BAD_ITEMS, ODD, REFUSED, post, raw
from tests.gateway import WRITE_KEY, Gateway, Json, order, page, product

from firsthand.event import format_time

PER_SECOND = 80
REMEMBERED = 2_000
NOT_NOW = (0, 503)
"""No answer, or none while the disk is full."""


def song(id: str, **fields: Any) -> Json:
    """Nothing any vendor here has use for."""
    return page(id) | {"type": "track", "event": "Song Played", "properties": {"title": "Firsthand"}} | fields


class Shop:
    """One source's events, as fast as they come in at a shop, without end.

    Ids are `{key}-{number}`. Some events are sent again although they were sent before, as clients do that did not
    hear the answer.
    """

    def __init__(self, key: str, write_key: str, seed: int) -> None:
        self.key = key
        self.write_key = write_key
        self.repeated = 0
        self._chance = random.Random(f"{seed} {key}")
        self._sent: deque[Json] = deque(maxlen=REMEMBERED)
        self._hurry = 0
        self._again = 0
        self._off: float | None = None
        self._stated = True

    def burst(self, events: int) -> None:
        """The next ones come without a pause."""
        self._hurry += events

    def repeat(self, events: int) -> None:
        """Next, so many of the last ones are sent again, without a pause."""
        self._again += events

    def clock(self, off: float | None, stated: bool = True) -> None:
        """The clients' clocks are wrong by so many seconds, and `stated` in `sentAt`. None: right again."""
        self._off, self._stated = off, stated

    def events(self) -> Iterator[Json]:
        number = 0
        due = time.monotonic()
        while True:
            if self._hurry or self._again:
                self._hurry = max(0, self._hurry - 1)
                due = time.monotonic()
            else:
                due = max(due + 1 / PER_SECOND, time.monotonic() - 0.1)
                time.sleep(max(0.0, due - time.monotonic()))
            if self._sent and (self._again or self._chance.random() < 0.02):
                self._again = max(0, self._again - 1)
                self.repeated += 1
                yield self._chance.choice(self._sent)
                continue
            make = self._chance.choices((page, product, order, song), (30, 40, 25, 5))[0]
            event = make(f"{self.key}-{number}", anonymousId=f"{self.key}-visitor-{self._chance.randrange(400)}")
            event |= self._times()
            self._sent.append(event)
            number += 1
            yield event

    def _times(self) -> Json:
        if self._off is None:
            return {}
        now = format_time(round((time.time() + self._off) * 1000))
        return {"timestamp": now, "sentAt": now} if self._stated else {"timestamp": now}


class Hostile:
    """Requests that must be refused, or taken without harm to others.

    `acknowledged` are the events among them that were taken; `problems` what was answered and must not be.
    """

    def __init__(self, gateway: Gateway, seed: int) -> None:
        self.acknowledged: set[str] = set()
        self.problems: list[str] = []
        self.requests = 0
        self._gateway = gateway
        self._chance = random.Random(f"{seed} hostile")

    def send(self, requests: int) -> None:
        for _ in range(requests):
            self.requests += 1
            attack = self._chance.choice((self._refused, self._bad_item, self._odd, self._hang_up, self._unheard))
            with contextlib.suppress(OSError, http.client.HTTPException):  # also what was killed just then
                attack(self.requests)

    def _refused(self, number: int) -> None:
        name = self._chance.choice(list(REFUSED))
        body, wanted, _ = REFUSED[name]
        status, _ = post(self._gateway, "/v1/track", body)
        if status not in (wanted, *NOT_NOW):
            self.problems.append(f"{name}: answered {status} in place of {wanted}")

    def _bad_item(self, number: int) -> None:
        name = self._chance.choice(list(BAD_ITEMS))
        good = [page(f"odd-{number}0"), page(f"odd-{number}1")]
        items = b",".join([json.dumps(good[0]).encode(), BAD_ITEMS[name], json.dumps(good[1]).encode()])
        body = b'{"writeKey":"%s","batch":[%s]}' % (WRITE_KEY.encode(), items)
        status, answer = post(self._gateway, "/v1/batch", body)
        if status == 200 and answer["accepted"] == 2:
            self.acknowledged |= {event["messageId"] for event in good}
        elif status not in NOT_NOW:
            self.problems.append(f"{name} between two good events: answered {status} {answer}")

    def _odd(self, number: int) -> None:
        # What has no page of its own can't be known again in what the vendor received.
        name = self._chance.choice([name for name, fields in ODD.items() if "page" not in fields.get("context", {})])
        event = page(f"odd-{number}0") | {"type": "track", "event": "Order Completed"}
        fields = ODD[name]
        fields = fields | {"context": event["context"] | fields.get("context", {})}
        status, _ = post(self._gateway, "/v1/track", json.dumps(event | fields | {"writeKey": WRITE_KEY}).encode())
        if status == 200:
            self.acknowledged.add(event["messageId"])
        elif status not in (400, *NOT_NOW):
            self.problems.append(f"{name}: answered {status}")

    def _hang_up(self, number: int) -> None:
        with socket.create_connection((ADDRESS, self._gateway.port), timeout=20) as connection:
            connection.sendall(raw(f"odd-{number}0")[: -10 - number % 50])

    def _unheard(self, number: int) -> None:
        """It may be kept or not: nobody was told."""
        with socket.create_connection((ADDRESS, self._gateway.port), timeout=20) as connection:
            connection.sendall(raw(f"odd-{number}0"))
