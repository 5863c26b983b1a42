"""What the import's tests share: files, a collector that does as it is told, and the import itself."""

import asyncio
import json
import threading
from collections.abc import Callable, Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from firsthand.importing.destination import Destination
from firsthand.importing.mapping import Mapping as EventMapping
from firsthand.importing.mapping import parse
from firsthand.importing.run import Run, Summary

Json = dict[str, Any]
Reply = tuple[int, Mapping[str, str], Json | bytes]
ORDERS = """\
format: {type: csv}
event:
  name: Order Completed
  userId: {column: customer}
  timestamp: {column: day}
  properties.order_id: {column: order}
  properties.products:
    - {product_id: {column: sku}, price: {column: price}, quantity: {const: 1}}
"""
HEADER = "order,customer,day,sku,price\n"


def orders(count: int, first: int = 1) -> str:
    """A file of `count` orders, o-1 to o-…"""
    return HEADER + "".join(f"o-{n},c-{n % 7},2024-11-20,sku-{n},{n}.50\n" for n in range(first, first + count))


class Collector:
    """Takes batches as the real one does, and remembers what it took. `answer` may say something else first: it is
    given the number of the request and its events, and returns None to let them be taken."""

    def __init__(self) -> None:
        self.received: list[Json] = []
        self.sizes: list[int] = []
        self.keys: set[str] = set()
        self.keep = True
        """False: it only counts, so that it is no slower than the import."""
        self.count = 0
        self.answer: Callable[[int, list[Json]], Reply | None] = lambda number, events: None
        self.refuse: Callable[[Json], Json | None] = lambda event: None
        self._lock = threading.Lock()
        self._requests = 0

    def __enter__(self) -> Self:
        collector = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                status, headers, answer = collector._take(self.path, self.headers["authorization"], body)
                if status == 0:  # as when the connection breaks
                    self.close_connection = True
                    return
                data = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
                self.send_response(status)
                for name, value in {**headers, "content-length": str(len(data))}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *args: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        return self

    def __exit__(self, kind: type[BaseException] | None, error: object, traceback: TracebackType | None) -> None:
        self._server.shutdown()
        self._server.server_close()

    @property
    def ids(self) -> list[str]:
        return [event["messageId"] for event in self.received]

    def _take(self, path: str, key: str, body: bytes) -> Reply:
        assert path == "/v1/batch"
        if not self.keep:
            accepted = body.count(b'"messageId"')
            with self._lock:
                self.count += accepted
            return 200, {}, {"success": True, "accepted": accepted, "rejected": []}
        events = json.loads(body)["batch"]
        with self._lock:
            self._requests += 1
            self.keys.add(key)
            if reply := self.answer(self._requests, events):
                return reply
            rejected = [{"index": i} | fault for i, event in enumerate(events) if (fault := self.refuse(event))]
            refused = {entry["index"] for entry in rejected}
            taken = [event for index, event in enumerate(events) if index not in refused]
            self.received += taken
            self.sizes.append(len(events))
        answer = {"success": bool(taken), "accepted": len(taken), "rejected": rejected}
        return (200, {}, answer) if taken else (400, {}, answer | {"error": {"code": "x", "message": "y"}})


class Notes:
    """What the user would have seen."""

    def __init__(self) -> None:
        self.notes: list[str] = []
        self.waited: list[str] = []

    def reading(self, fraction: float) -> None:
        assert 0 <= fraction <= 1

    def rows(self, done: int, fraction: float) -> None:
        assert 0 <= fraction <= 1

    def note(self, text: str) -> None:
        self.notes.append(text)

    def waiting(self, text: str) -> None:
        self.waited.append(text)

    def close(self) -> None:
        pass


def import_file(
    path: Path,
    collector: Collector | str,
    mapping: str | None = None,
    *,
    event: str | None = None,
    source: str = "shop",
    data: Path | None = None,
    most: int = 500,
    notes: Notes | None = None,
    key: str = "key-1",
) -> Summary:
    """As `firsthand import` does it, in this process."""
    url = collector if isinstance(collector, str) else collector.url
    rules = EventMapping(name=event) if mapping is None else parse(mapping, event, {})
    with Run(path, rules, Destination(source, url, key, data), notes or Notes(), most) as run:
        if run.prepare():
            asyncio.run(run.send())
        return run.summary


def rejects(path: Path) -> Iterator[Json]:
    file = path.with_name(f"{path.name}.rejects.jsonl")
    return iter([json.loads(line) for line in file.read_text().splitlines()] if file.exists() else [])
