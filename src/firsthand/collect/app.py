"""The collector: HTTP in, durable events out.

A plain ASGI application. A request names its source by write key, its events are parsed and completed, and the
answer waits until the event log has them on disk. It knows no vendor.
"""

import base64
import binascii
import math
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import msgspec
import structlog

from firsthand.collect import pixel, signed
from firsthand.collect.faults import Fault
from firsthand.collect.parse import (
    NOBODY,
    REQUEST_BYTES,
    TYPES,
    Connection,
    Wire,
    complete,
    decompress,
    is_batch,
    parse_batch,
    parse_wire,
    peek_message_id,
    rejection,
    request_too_large,
    shared_bytes,
)
from firsthand.config import Source
from firsthand.event import Event, format_time
from firsthand.eventlog.base import LogUnavailable, LogWriter, Record, visitor_hash
from firsthand.ratelimit import TokenBucket

log = structlog.get_logger()

Scope = Mapping[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]
Headers = dict[bytes, bytes]
Answer = tuple[int, bytes, list[tuple[bytes, bytes]]]
"""Status, body, headers."""

JSON = (b"content-type", b"application/json")
SUCCESS = b'{"success":true}'
DISCARD_BYTES = 64 << 20
KNOWN_HEADERS = 1_000
BATCHES = frozenset({"/v1/batch", "/v1/import"})
SINGLES = {f"/v1/{type}": type for type in TYPES}
SIGNED = "/v1/events"
PIXELS = {f"/v1/pixel/{type}": type for type in TYPES}
HEALTH = frozenset({"/healthz", "/readyz"})
_encode = msgspec.json.Encoder().encode


class Request(msgspec.Struct, gc=False):
    """What there is to an event, or a batch of them, besides its source."""

    headers: Headers
    connection: Connection
    body: bytes
    sent: bytes | None = None
    """The body as it was sent, which is what a signature is for. None: there is nothing that could be signed."""
    must_be_signed: bool = False
    signature: bytes | None = None
    """Once it is verified."""


class Body:
    """What a client sends, read as far as it may be."""

    def __init__(self, method: str, headers: Headers, receive: Receive) -> None:
        self._receive = receive
        self._length = headers.get(b"content-length", b"0")
        self._more = method in ("POST", "PUT", "PATCH")

    async def read(self) -> bytes:
        """All of it, refused as soon as it is known to be too large."""
        if self._length.isdigit() and int(self._length) > REQUEST_BYTES:
            raise request_too_large()
        parts: list[bytes] = []
        size = 0
        while self._more:
            parts.append(await self._next())
            size += len(parts[-1])
            if size > REQUEST_BYTES:
                raise request_too_large()
        return parts[0] if len(parts) == 1 else b"".join(parts)

    async def discard(self) -> None:
        """Take what is left of a refused body and forget it: most clients read no answer before they have sent all,
        and would see a broken connection instead. There is an end to this patience."""
        left = DISCARD_BYTES
        while self._more and left > 0:
            try:
                left -= len(await self._next())
            except Fault:
                return

    async def _next(self) -> bytes:
        message = await self._receive()
        if message["type"] == "http.disconnect":
            self._more = False
            raise Fault(400, "incomplete_body", "the connection ended before the body did")
        self._more = message.get("more_body", False)
        part: bytes = message.get("body", b"")
        return part


class Collector:
    """The ASGI application.

    `sources` are the configured sources, `event_log` takes the events, `clock` is seconds since 1970.
    """

    def __init__(self, sources: Sequence[Source], event_log: LogWriter, clock: Callable[[], float] = time.time) -> None:
        self._log = event_log
        self._clock = clock
        self.reload(sources)

    def reload(self, sources: Sequence[Source]) -> None:
        """Go on with other sources. Requests under way end with those they began with."""
        self._by_key = {source.write_key: source for source in sources}
        self._by_header: dict[bytes, Source] = {}
        self._limits = {s.key: TokenBucket(s.rate_per_second, time.monotonic) for s in sources if s.rate_per_second}
        self._open = any(not source.origins for source in sources)
        self._origins = frozenset(origin for source in sources for origin in source.origins)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        headers: Headers = dict(scope["headers"])
        incoming = Body(scope["method"], headers, receive)
        try:
            status, body, extra = await self._route(scope, headers, incoming)
        except Exception as error:
            status, body, extra = _refusal(scope["path"], error)
            await incoming.discard()
        origin = headers.get(b"origin")
        if origin is not None and (self._open or origin.decode("latin-1") in self._origins):
            extra = [*extra, (b"access-control-allow-origin", origin), (b"vary", b"Origin")]
        if status != 204:
            extra = [(b"content-length", b"%d" % len(body)), *extra]
        await send({"type": "http.response.start", "status": status, "headers": extra})
        await send({"type": "http.response.body", "body": body})

    async def _route(self, scope: Scope, headers: Headers, incoming: Body) -> Answer:
        path, method = scope["path"], scope["method"]
        type = SINGLES.get(path)
        if type is None and path not in BATCHES and path != SIGNED:
            return await self._get(scope, headers)
        if method == "OPTIONS":
            return 204, b"", _preflight(headers)
        if method != "POST":
            raise Fault(405, "method_not_allowed", f"{path} takes POST", allow="OPTIONS, POST")
        # A key in the headers is checked before the body is read, and a signature before the body is looked into.
        source = self._source_of(headers)
        sent = await incoming.read()
        request = Request(headers, _visitor_connection(scope, headers), sent, sent, path == SIGNED)
        if source is not None and (request.must_be_signed or source.require_signature):
            self._verify(source, request)
        request.body = decompress(sent, headers.get(b"content-encoding", b"").decode("latin-1").lower())
        if type is not None or (path == SIGNED and not is_batch(request.body)):
            return await self._single(source, type, request)
        return await self._batch(source, request)

    async def _get(self, scope: Scope, headers: Headers) -> Answer:
        path, method = scope["path"], scope["method"]
        if path in HEALTH:
            if method not in ("GET", "HEAD"):
                raise Fault(405, "method_not_allowed", f"{path} takes GET", allow="GET, HEAD")
            if path == "/readyz" and self._log.full:
                raise LogUnavailable("the event log takes no events", retry_after=5)
            return 200, b'{"status":"ok"}', [JSON]
        type = PIXELS.get(path)
        if type is None:
            raise Fault(404, "not_found", f"there is no {path[:80]} here; events go to /v1/track, /v1/batch, …")
        if method != "GET":
            raise Fault(405, "method_not_allowed", f"{path} takes GET", allow="GET")
        body = pixel.read(scope["query_string"])
        await self._single(None, type, Request(pixel.with_origin(headers), _connection(scope, headers), body))
        return 200, pixel.GIF, pixel.HEADERS

    async def _single(self, source: Source | None, type: str | None, request: Request) -> Answer:
        """One event; without a type it says its own."""
        try:
            wire = parse_wire(request.body)
            source = self._check(source, wire.write_key, request, 1)
            if request.signature is not None:
                signed.name(wire, request.signature, 0)
            now_ms = int(self._clock() * 1000)
            event = complete(
                wire, type=type, now_ms=now_ms, received_at=format_time(now_ms), connection=request.connection
            )
        except Fault:
            if source is not None:
                self._log.refused(source.key)
            raise
        await self._log.append([_record(source.key, event, now_ms)])
        return 200, SUCCESS, [JSON]

    async def _batch(self, source: Source | None, request: Request) -> Answer:
        batch = parse_batch(request.body)
        shared = shared_bytes(batch)
        source = self._check(source, batch.write_key, request, len(batch.batch))
        now_ms = int(self._clock() * 1000)
        received_at = format_time(now_ms)
        records: list[Record] = []
        rejected: list[dict[str, object]] = []
        for index, raw in enumerate(batch.batch):
            wire: Wire | None = None
            try:
                path = f"$.batch[{index}]"
                wire = parse_wire(raw, path, shared)
                if request.signature is not None:
                    signed.name(wire, request.signature, index)
                event = complete(
                    wire, path=path, now_ms=now_ms, received_at=received_at, batch=batch, connection=request.connection
                )
                records.append(_record(source.key, event, now_ms))
            except Fault as fault:
                rejected.append(rejection(index, wire.message_id if wire else peek_message_id(raw), fault))
                self._log.refused(source.key)
        if records:
            await self._log.append(records)
        answer: dict[str, object] = {"success": True, "accepted": len(records), "rejected": rejected}
        if rejected and not records:
            first = rejected[0]
            answer["success"] = False
            answer["error"] = {key: first[key] for key in ("code", "message", "path")}
            return 400, _encode(answer), [JSON]
        return 200, _encode(answer), [JSON]

    def _source_of(self, headers: Headers) -> Source | None:
        """The source named by the Authorization header; None without one, a fault for a wrong one."""
        header = headers.get(b"authorization")
        if header is None:
            return None
        known = self._by_header.get(header)
        if known is not None:
            return known
        scheme, _, value = header.decode("latin-1").partition(" ")
        key = value.strip()
        if scheme.lower() == "basic":
            try:
                key = base64.b64decode(key, validate=True).decode("utf-8").partition(":")[0]
            except (binascii.Error, ValueError):
                raise Fault(401, "invalid_write_key", "the Basic authorization cannot be decoded") from None
        elif scheme.lower() != "bearer":
            raise Fault(401, "invalid_write_key", "send the write key by Basic or Bearer authorization")
        source = self._by_key.get(key)
        if source is None:
            raise Fault(401, "invalid_write_key", "no source has this write key: check `sources` in firsthand.yaml")
        if len(self._by_header) < KNOWN_HEADERS:  # with one key and a thousand passwords there are a thousand headers
            self._by_header[header] = source
        return source

    def _verify(self, source: Source, request: Request) -> None:
        """The endpoint or the source asks for a signature: it must be there and right."""
        if request.sent is None or (not request.must_be_signed and b"x-signature" not in request.headers):
            raise signed.unsigned(source)
        request.signature = signed.verify(source, request.headers, request.sent, int(self._clock() * 1000))

    def _check(self, source: Source | None, write_key: str | None, request: Request, events: int) -> Source:
        """The source of a request, once its body has been seen; its signature, origins and rate are held to."""
        if source is None:
            if not write_key:
                raise Fault(
                    401, "missing_write_key", "send the write key by Basic or Bearer authorization, or as writeKey"
                )
            source = self._by_key.get(write_key)
            if source is None:
                raise Fault(401, "invalid_write_key", "no source has this write key: check `sources` in firsthand.yaml")
            if request.must_be_signed or source.require_signature:
                self._verify(source, request)
        origin = request.headers.get(b"origin")
        if origin is not None and source.origins and origin.decode("latin-1") not in source.origins:
            said = origin.decode("latin-1")[:80]
            raise Fault(403, "origin_not_allowed", f"{said} is not among the origins of source {source.key}")
        bucket = self._limits.get(source.key)
        if bucket is not None and (pause := bucket.take(events)):
            message = f"source {source.key} may send {source.rate_per_second:g} events a second"
            raise Fault(429, "rate_limited", message, retry_after=math.ceil(pause))
        return source


def _record(source: str, event: Event, received_ms: int) -> Record:
    visitor = event.anonymous_id or event.user_id or ""
    return Record(source, event.message_id, visitor_hash(source, visitor), received_ms, _encode(event))


def _refusal(path: str, error: Exception) -> Answer:
    """The answer to what could not be taken; to a pixel it is an image all the same."""
    if isinstance(error, Fault):
        fault = error
    elif isinstance(error, LogUnavailable):
        fault = Fault(503, "unavailable", f"{error}: send it again later", retry_after=error.retry_after)
    else:
        log.error("collector failed", path=path, error=type(error).__name__, exc_info=error)
        fault = Fault(500, "internal_error", "an error of ours: nothing was kept, send it again")
    headers = [(b"retry-after", b"%d" % fault.retry_after)] if fault.retry_after else []
    if fault.allow:
        headers.append((b"allow", fault.allow.encode()))
    if path.startswith("/v1/pixel/"):
        return fault.status, pixel.GIF, [*pixel.HEADERS, pixel.error_header(fault), *headers]
    if fault.status in (401, 413):
        headers.append((b"connection", b"close"))
    return fault.status, _encode({"success": False, "error": fault.as_json()}), [JSON, *headers]


def _visitor_connection(scope: Scope, headers: Headers) -> Connection:
    """A browser names its origin, a server does not; a server's own address is never the visitor's."""
    return _connection(scope, headers) if b"origin" in headers else NOBODY


def _connection(scope: Scope, headers: Headers) -> Connection:
    client = scope.get("client")
    agent = headers.get(b"user-agent")
    return Connection(client[0] if client else None, agent.decode("latin-1") if agent else None)


def _preflight(headers: Headers) -> list[tuple[bytes, bytes]]:
    return [
        (b"access-control-allow-methods", b"POST, OPTIONS"),
        (
            b"access-control-allow-headers",
            headers.get(b"access-control-request-headers", b"authorization, content-type"),
        ),
        (b"access-control-max-age", b"86400"),
    ]
