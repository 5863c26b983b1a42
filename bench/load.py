"""A load generator: keep-alive connections, each with one request under way, bodies made beforehand.

    python -m bench.load PORT EVENTS BATCH CONNECTIONS [RATE [FROM]]

RATE is events a second (0: as fast as it goes). FROM is `server` (an SDK, the default), `page` (a page whose visitor
has not answered yet) or `visitor` (one whose visitor has agreed and has cookies). Prints JSON: seconds, latencies in
milliseconds (p50, p99, max), answers other than 200.
"""

import asyncio
import json
import random
import sys
import time
import uuid
from typing import Any

import uvloop

AGENT = "Mozilla/5.0 (iPhone; CPU iPhone OS 17_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko)"


UNSENT = b"sent_%013d" % 0
"""Where each request says at what millisecond it was sent."""


def event(number: int, visitor: int) -> dict[str, Any]:
    """An order of two lines with an e-mail address: the dearest event there is."""
    return {
        "type": "track",
        "event": "Order Completed",
        "messageId": str(uuid.uuid4()),
        "anonymousId": f"visitor-{visitor}",
        "userId": f"user-{visitor}",
        "timestamp": time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime()),
        "context": {
            "ip": "203.0.113.7",
            "userAgent": AGENT,
            "page": {"url": "https://shop.example/thanks?order=1", "referrer": "https://shop.example/pay"},
            "traits": {"email": f"user{visitor}@shop.example"},
            "library": {"name": "bench", "version": "1"},
        },
        "properties": {
            "order_id": f"ORD-{number}-{UNSENT.decode()}",
            "total": 129.99,
            "currency": "GBP",
            "products": [
                {"product_id": "SKU-A", "name": "Widget", "quantity": 2, "price": 49.99},
                {"product_id": "SKU-B", "name": "Gadget", "quantity": 1, "price": 30.01},
            ],
        },
    }


COMMON = "Authorization: Basic YmVuY2g6\r\n"
PAGE = (
    f"Host: events.shop.example\r\nOrigin: https://www.shop.example\r\nUser-Agent: {AGENT}\r\n"
    "Content-Type: text/plain;charset=UTF-8\r\nAccept: */*\r\nSec-Fetch-Site: same-site\r\n"
    "Cookie: _ga=GA1.1.1234567890.1763800000; cart=8f14e45fceea167a"
)
"""What a browser sends along; the shop has cookies of its own."""


def requests(events: int, batch: int, sender: str) -> list[bytes]:
    """Whole HTTP requests."""
    chance = random.Random(1)
    made = []
    for first in range(0, events, batch):
        visitor = chance.randrange(50_000)
        items = [event(first + n, visitor) for n in range(min(batch, events - first))]
        head = f"{COMMON}Host: localhost\r\n"
        if sender != "server":
            head = f"{COMMON}{PAGE}{agree(items, visitor) if sender == 'visitor' else ''}\r\n"
        path, body = ("/v1/track", items[0]) if batch == 1 else ("/v1/batch", {"batch": items})
        data = json.dumps(body).encode()
        made.append(f"POST {path} HTTP/1.1\r\n{head}Content-Length: {len(data)}\r\n\r\n".encode() + data)
    return made


def agree(items: list[dict[str, Any]], visitor: int) -> str:
    """Make these events those of a visitor who has agreed; the cookies that this visitor has."""
    known = uuid.UUID(int=visitor, version=4)
    for item in items:
        item["anonymousId"] = str(known)
        item["context"] |= {"consent": {"categories": {"marketing": True}}, "library": {"name": "firsthand.js"}}
    return f"; fh_aid={known}; fh_sid={uuid.uuid4()}"


def stamped(request: bytes) -> bytes:
    return request.replace(UNSENT, b"sent_%013d" % (time.time() * 1000))


class Client(asyncio.Protocol):
    """Sends the next request as soon as the last one is answered."""

    def __init__(self, feed: "Feed") -> None:
        self.feed = feed
        self.buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self.next()

    def next(self) -> None:
        request = self.feed.take(self)
        if request is not None:
            self.started = time.perf_counter()
            self.transport.write(request)

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        end = self.buffer.find(b"\r\n\r\n")
        if end < 0:
            return
        head = self.buffer[:end].lower()
        length = int(head[head.index(b"content-length:") + 15 :].split(b"\r\n")[0])
        if len(self.buffer) < end + 4 + length:
            return
        self.buffer = b""
        self.feed.answered((time.perf_counter() - self.started) * 1000, head.startswith(b"http/1.1 200"))
        self.next()


class Feed:
    def __init__(self, made: list[bytes], interval: float) -> None:
        self.made = made[::-1]
        self.open = len(made)
        self.interval = interval
        self.due = time.perf_counter()
        self.latencies: list[float] = []
        self.failed = 0
        self.done = asyncio.Event()

    def take(self, client: Client) -> bytes | None:
        if not self.made:
            return None
        if self.interval:
            self.due = max(self.due + self.interval, time.perf_counter() - 0.1)
            wait = self.due - time.perf_counter()
            if wait > 0.0005:
                asyncio.get_running_loop().call_later(wait, self.send_late, client, self.made.pop())
                return None
        return stamped(self.made.pop())

    def send_late(self, client: Client, request: bytes) -> None:
        client.started = time.perf_counter()
        client.transport.write(stamped(request))

    def answered(self, ms: float, ok: bool) -> None:
        self.latencies.append(ms)
        self.failed += not ok
        self.open -= 1
        if not self.open:
            self.done.set()


async def main(port: int, events: int, batch: int, connections: int, rate: float, sender: str) -> None:
    feed = Feed(requests(events, batch, sender), batch / rate if rate else 0.0)
    loop = asyncio.get_running_loop()
    started = time.perf_counter()
    for _ in range(connections):
        await loop.create_connection(lambda: Client(feed), "127.0.0.1", port)
    await feed.done.wait()
    seconds = time.perf_counter() - started
    ordered = sorted(feed.latencies)
    print(
        json.dumps(
            {
                "seconds": seconds,
                "p50": ordered[len(ordered) // 2],
                "p99": ordered[int(len(ordered) * 0.99)],
                "max": ordered[-1],
                "failed": feed.failed,
            }
        )
    )


if __name__ == "__main__":
    port, events, batch, connections = (int(value) for value in sys.argv[1:5])
    rate, sender = [*sys.argv[5:], *("0", "server")[len(sys.argv) - 5 :]]
    uvloop.run(main(port, events, batch, connections, float(rate), sender))
