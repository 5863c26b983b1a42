"""One connection: a request out and its answer back, one after the other."""

import asyncio
import select
import ssl
from typing import cast

import httptools

from firsthand.ledger.records import Cause, Failure
from firsthand.vendors.base import Answer

ANSWER_BYTES = 64 << 10
"""How much of an answer's body is read. No vendor's is larger; what is larger is no vendor's answer."""
HEAD_BYTES = 64 << 10
"""What may come before an answer's body: preliminary answers, status line, headers."""
FRAMED_BYTES = 1 << 20
"""What an answer may take in all. Chunks may say more of themselves than they bring."""

BUFFER_BYTES = 16 << 10
"""Of a buffer of its own, since uvloop takes a quarter of a megabyte anew for each piece that was encrypted."""


class Connection(asyncio.BufferedProtocol):
    """Stands, when it is made, and breaks at the first thing that is out of order.

    A failure before `exchange` writes is none that the vendor can have seen; every later one may be.
    """

    def __init__(self) -> None:
        self._parser = httptools.HttpResponseParser(self)
        self._loop = asyncio.get_running_loop()
        self._made = self._loop.time()
        self._answer: asyncio.Future[Answer | Failure] | None = None
        self._broken: Failure | None = None
        self._buffer = memoryview(bytearray(BUFFER_BYTES))  # what comes is parsed at once, so it is free again
        self._keep_alive = True
        self._deadline = 0.0
        self._timer: asyncio.TimerHandle | None = None  # runs on from one exchange to the next: one each is dear
        self._reset()

    def _reset(self) -> None:
        self._received = 0
        self._status = 0
        self._lines: list[tuple[bytes, bytes]] = []
        self._body: list[bytes] = []
        self._size = 0

    # -- for whoever has it --------------------------------------------------------------------------------------------

    def exchange(self, request: bytes, deadline: float) -> asyncio.Future[Answer | Failure]:
        """Write a request. Its answer is awaited until the loop's clock shows `deadline`, which is never earlier than
        that of the exchange before."""
        answer: asyncio.Future[Answer | Failure] = self._loop.create_future()
        if self._broken is not None:
            answer.set_result(self._broken)
            return answer
        self._reset()
        self._answer, self._deadline = answer, deadline
        if self._timer is None:
            self._timer = self._loop.call_at(deadline, self._time_is_up)
        self._transport.write(request)
        return answer

    def may_be_kept(self, max_age: float) -> bool:
        """Whether another request may follow: both sides are through with the last one. `max_age` is seconds."""
        through = self._answer is None and self._broken is None and self._transport.get_write_buffer_size() == 0
        return through and self._keep_alive and self._loop.time() - self._made < max_age

    def is_quiet(self) -> bool:
        """Whether nothing has come that the loop has not read yet, its end above all. Asked before each request on a
        connection that waited: one that goes out into a closed connection is one of which nobody knows."""
        return self._broken is None and not self._poll.poll(0)

    def abort(self) -> None:
        self._transport.abort()

    # -- for the event loop --------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._poll = select.poll()
        self._poll.register(transport.get_extra_info("socket").fileno(), select.POLLIN)

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._buffer

    def buffer_updated(self, size: int) -> None:
        if self._answer is None:
            self._fail("protocol", "something came that nobody had asked for")
            return
        self._received += size
        try:
            self._parser.feed_data(self._buffer[:size])
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            self._fail("protocol", f"the answer is no HTTP/1.1: {error.__context__ or error}")
            return
        if self._answer is not None and self._received > (FRAMED_BYTES if self._status else HEAD_BYTES):
            self._fail("protocol", "the answer has more headers or chunks than any vendor's")

    def eof_received(self) -> None:
        if self._answer is not None and self._status and self._ends_with_connection():
            self._succeed()
        self._fail("cut", "the connection was closed before a whole answer had come")

    def connection_lost(self, error: Exception | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if isinstance(error, ssl.SSLError):
            self._fail("tls", f"the encryption broke ({error.reason or 'no reason given'})")
        self._fail("cut", "the connection broke before a whole answer had come")

    # -- for the parser ------------------------------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        if self._answer is None:
            raise ValueError("a second answer to one request")

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self._status:  # what follows the body is of no use to anybody
            self._lines.append((name, value))

    def on_headers_complete(self) -> None:
        status = self._parser.get_status_code()
        if status < 100:
            raise ValueError("a status that there is none of")
        if status < 200:
            self._lines.clear()  # preliminary: the answer follows
        else:
            self._status = status
            self._keep_alive = self._parser.should_keep_alive()

    def on_body(self, part: bytes) -> None:
        self._body.append(part)
        self._size += len(part)
        if self._size >= ANSWER_BYTES and self._answer is not None:
            self._keep_alive = False
            self._succeed()

    def on_message_complete(self) -> None:
        if self._status and self._answer is not None:
            self._succeed()

    # -- how it ends ---------------------------------------------------------------------------------------------------

    def _succeed(self) -> None:
        self._end(Answer(self._status, _headers(self._lines), b"".join(self._body)[:ANSWER_BYTES]))

    def _fail(self, cause: Cause, message: str) -> None:
        if self._broken is not None:
            return
        self._broken = Failure(cause, False, message)
        self._transport.abort()
        if self._answer is not None:
            self._end(Failure(cause, True, message))

    def _time_is_up(self) -> None:
        self._timer = None
        if self._answer is not None and self._loop.time() < self._deadline:
            self._timer = self._loop.call_at(self._deadline, self._time_is_up)
        elif self._answer is not None:
            self._fail("timeout", "no answer came in time")

    def _end(self, result: Answer | Failure) -> None:
        answer, self._answer = self._answer, None
        if answer is not None and not answer.done():  # whoever waited may have gone
            answer.set_result(result)

    def _ends_with_connection(self) -> bool:
        """An answer that says neither its length nor that it comes in chunks: RFC 9112, 6.3."""
        said = _headers(self._lines)
        coding = said.get("transfer-encoding")
        return "content-length" not in said if coding is None else not coding.lower().endswith("chunked")


def _headers(lines: list[tuple[bytes, bytes]]) -> dict[str, str]:
    """By name in lower case; what came several times is joined by commas: RFC 9110, 5.3."""
    headers: dict[str, str] = {}
    for raw, text in lines:
        name, value = raw.decode("latin-1").lower(), text.decode("latin-1").strip()
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return headers
