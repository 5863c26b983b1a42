"""The collector: HTTP in, durable events out.

A plain ASGI application. A request names its source by write key, its events are parsed and completed, and the
answer waits until the event log has them on disk. It sends nothing to any vendor.
"""

import contextlib
import os
import time
from collections.abc import Callable, Sequence

import msgspec
import structlog

from firsthand.collect import client_settings, pixel, script, signed
from firsthand.collect.access import Access, check_origin, is_first_party, missing_write_key, preflight
from firsthand.collect.bots import bot_in
from firsthand.collect.browser import Visit, cookies_of, id_names_of
from firsthand.collect.complete import complete
from firsthand.collect.faults import Fault
from firsthand.collect.parse import (
    Wire,
    decompress,
    is_batch,
    parse_batch,
    parse_wire,
    peek_message_id,
    rejection,
    shared_bytes,
    without_mark,
)
from firsthand.collect.paths import BATCHES, BEACON, HEALTH, PIXELS, SIGNED, SINGLES, VISITOR, without_slash
from firsthand.collect.request import (
    PATIENCE,
    Answer,
    Body,
    HeaderList,
    Headers,
    Patience,
    Receive,
    Request,
    Scope,
    Send,
    connection,
    visitor_connection,
)
from firsthand.collect.sync import Syncs
from firsthand.config import Integration, Source
from firsthand.consent import cmp
from firsthand.event import Event, format_time
from firsthand.eventlog.base import LogUnavailable, LogWriter, Record, visitor_hash
from firsthand.placeholders import clean_ids, name_itself
from firsthand.secret import Secret

log = structlog.get_logger()

JSON = (b"content-type", b"application/json")
SUCCESS = b'{"success":true}'
CLOSING = (401, 413)
"""Statuses after which nothing more is taken on a connection."""
_encode = msgspec.json.Encoder().encode


class Collector:
    """The ASGI application.

    `sources` are the configured sources, `event_log` takes the events, `clock` is seconds since 1970. `integrations`
    say which cookies the vendors of a source need, and `secret` encrypts those that hold an e-mail address: without
    one, they are read for as long as this process runs. `undelivered` says why nothing is sent, where that is so for
    good. `public_url` and `emulator_url` are those of the settings.
    """

    def __init__(
        self,
        sources: Sequence[Source],
        event_log: LogWriter,
        clock: Callable[[], float] = time.time,
        *,
        integrations: Sequence[Integration] = (),
        secret: Secret | None = None,
        public_url: str | None = None,
        emulator_url: str = "",
        patience: Patience = PATIENCE,
        undelivered: Callable[[], str | None] = lambda: None,
    ) -> None:
        self._log = event_log
        self._undelivered = undelivered
        self._clock = clock
        self._secret = secret or Secret(os.urandom(32))
        self._public_url = public_url
        self._patience = patience
        self._syncs = Syncs(self._secret, clock, self._visit, self._keep, public_url, emulator_url)
        self.reload(sources, integrations)

    def reload(self, sources: Sequence[Source], integrations: Sequence[Integration] = ()) -> None:
        """Go on with other sources and integrations. Requests under way end with those they began with."""
        declared = {source.key: cookies_of(source.key, integrations) for source in sources}
        self._access, self._declared = Access(sources, self._clock), declared
        self._id_names = {source.key: id_names_of(source.key, integrations) for source in sources}
        self._syncs.reload(self._access, sources, integrations)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        headers: Headers = dict(scope["headers"])
        incoming = Body(scope["method"], headers, receive, self._patience)
        try:
            status, body, extra = await self._route(scope, headers, incoming)
        except Exception as error:
            status, body, extra = _refusal(scope["path"], error)
            if status != 408:
                await incoming.discard()
            if incoming.unfinished and status not in CLOSING:
                extra = [*extra, (b"connection", b"close")]
        if b"origin" in headers and scope["path"] != script.PATH:
            extra = [*extra, *self._access.cors(headers, refused=status >= 400)]
        if status not in (204, 304):
            extra = [(b"content-length", b"%d" % len(body)), *extra]
        await send({"type": "http.response.start", "status": status, "headers": extra})
        await send({"type": "http.response.body", "body": body})

    async def _route(self, scope: Scope, headers: Headers, incoming: Body) -> Answer:
        path, method = without_slash(scope["path"]), scope["method"]
        type = SINGLES.get(path)
        if type is None and path not in BATCHES and path not in (SIGNED, VISITOR):
            if self._syncs.takes(scope["path"]):
                return await self._syncs.answer(scope, headers, incoming)
            if client_settings.takes(path):
                return self._client_settings(path, scope, headers)
            return await self._get(path, scope, headers, incoming)
        if method == "OPTIONS":
            return 204, b"", preflight(headers)
        if method != "POST":
            raise Fault(405, "method_not_allowed", f"{path} takes POST", allow="OPTIONS, POST")
        # A key in the headers is checked before the body is read, and a signature before the body is looked into.
        source = self._access.by_headers(headers)
        if source is None and path == BEACON:
            source = self._access.by_query(scope["query_string"])
        sent = await incoming.read()
        secure = scope.get("scheme") == "https"
        request = Request(headers, visitor_connection(scope, headers), sent, sent, path == SIGNED, secure)
        if source is not None and (request.must_be_signed or source.require_signature):
            self._access.verify(source, request)
        plain = decompress(sent, headers.get(b"content-encoding", b"").decode("latin-1").lower())
        request.body = without_mark(plain)
        if path == VISITOR:
            return 200, SUCCESS, [JSON, *await self._single(source, "identify", request, keep=False)]
        if type is not None or (path == SIGNED and not is_batch(request.body)):
            return 200, SUCCESS, [JSON, *await self._single(source, type, request)]
        return await self._batch(source, request)

    def _client_settings(self, path: str, scope: Scope, headers: Headers) -> Answer:
        if scope["method"] == "OPTIONS":
            return 204, b"", preflight(headers)
        client_settings.method(path, scope["method"])
        key = client_settings.key_in(path)
        source = self._access.by_key(key) if key else self._access.by_headers(headers)
        source = source or self._access.by_query(scope["query_string"])
        if source is None:
            raise missing_write_key()
        check_origin(source, headers)
        return client_settings.answer(path, source, client_settings.address(scope, headers, self._public_url))

    async def _get(self, path: str, scope: Scope, headers: Headers, incoming: Body) -> Answer:
        method = scope["method"]
        if scope["path"] == script.PATH:
            return script.answer(method, headers)
        if path in HEALTH:
            if method not in ("GET", "HEAD"):
                raise Fault(405, "method_not_allowed", f"{path} takes GET", allow="GET, HEAD")
            if path == "/readyz" and self._log.full:
                raise LogUnavailable("the event log takes no events", retry_after=5)
            # Whoever balances loads asks whether events are taken, and they are, also while none is sent.
            undelivered = self._undelivered() if path == "/readyz" else None
            return 200, _encode({"status": "ok"} | ({"undelivered": undelivered} if undelivered else {})), [JSON]
        type = PIXELS.get(path)
        if type is None:
            return await self._nowhere(scope, headers, incoming)
        if method != "GET":
            raise Fault(405, "method_not_allowed", f"{path} takes GET", allow="GET")
        body = pixel.read(scope["query_string"])
        secure = scope.get("scheme") == "https"
        request = Request(pixel.with_origin(headers), connection(scope, headers), body, secure=secure)
        return 200, pixel.GIF, [*pixel.HEADERS, *await self._single(None, type, request)]

    async def _nowhere(self, scope: Scope, headers: Headers, incoming: Body) -> Answer:
        """A path that is none of ours. Whoever asks for it with a write key means to send events, and loses them."""
        path = scope["path"]
        if scope["method"] == "OPTIONS" and b"access-control-request-method" in headers:
            return 204, b"", preflight(headers)  # or a browser would not send what is counted then
        body = b""
        with contextlib.suppress(Fault):
            body = decompress(await incoming.read(), headers.get(b"content-encoding", b"").decode("latin-1").lower())
        if lost := self._access.lost(path, scope["query_string"], headers, body):
            source, shown = lost
            self._log.note(source, "unknown_path", shown)
        raise Fault(404, "not_found", "there is no such address here; events go to /v1/track, /v1/batch, …")

    async def _single(self, source: Source | None, type: str | None, request: Request, keep: bool = True) -> HeaderList:
        """One event, kept or not; without a type it says its own. Returns the cookies that go with the answer."""
        known = source
        try:
            wire = parse_wire(request.body)
            known = source or self._access.named(wire.write_key)
            source = self._access.check(source, wire.write_key, request, 1)
            if request.signature is not None:
                signed.name(wire, request.signature, 0)
            now_ms = int(self._clock() * 1000)
            event = complete(
                wire, type=type, now_ms=now_ms, received_at=format_time(now_ms), connection=request.connection
            )
        except Fault as fault:
            if keep:
                self._count_refused(known, fault)
            raise
        visit = self._visit(source, request)
        self._complete_visitor(event, source, visit, request)
        if keep:
            await self._keep(source, event, now_ms)
        return visit.headers() if visit else []

    async def _keep(self, source: Source, event: Event, now_ms: int) -> None:
        _note_bot(source, event)
        await self._log.append([_record(source.key, event, now_ms)])

    async def _batch(self, source: Source | None, request: Request) -> Answer:
        batch = parse_batch(request.body)
        shared = shared_bytes(batch)
        try:
            source = self._access.check(source, batch.write_key, request, len(batch.batch))
        except Fault as fault:
            self._count_refused(source or self._access.named(batch.write_key), fault, len(batch.batch))
            raise
        visit = self._visit(source, request)
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
                self._complete_visitor(event, source, visit, request)
                _note_bot(source, event)
                records.append(_record(source.key, event, now_ms))
            except Fault as fault:
                rejected.append(rejection(index, wire.message_id if wire else peek_message_id(raw), fault))
                self._log.note(source.key, "refused", fault.code)
        if records:
            await self._log.append(records)
        answer: dict[str, object] = {"success": True, "accepted": len(records), "rejected": rejected}
        if rejected and not records:
            first = rejected[0]
            answer["success"] = False
            answer["error"] = {key: first[key] for key in ("code", "message", "path")}
            return 400, _encode(answer), [JSON]
        return 200, _encode(answer), [JSON, *(visit.headers(batch.context) if visit else ())]

    def _count_refused(self, source: Source | None, fault: Fault, events: int = 1) -> None:
        """Not where it may be somebody else who names the source, and not what will come again."""
        if source is not None and fault.status not in (401, 429):
            self._log.note(source.key, "refused", fault.code, events)

    def _complete_visitor(self, event: Event, source: Source, visit: Visit | None, request: Request) -> None:
        """Whose event it is. Of ids that name nobody nothing is left; then comes what the request says of the visitor:
        all of a page's, of others what the event says itself, and Sec-GPC."""
        for word in clean_ids(event, self._id_names[source.key]):
            self._log.note(source.key, "placeholder", word)
        if visit is not None:
            visit.complete(event)
        else:
            cmp.complete(event.context, {}, request.headers.get(b"sec-gpc") == b"1", source.cmp)
        name_itself(event)

    def _visit(self, source: Source, request: Request) -> Visit | None:
        """What a page's request brings besides its events; a server's brings nothing."""
        headers = request.headers
        first_party = is_first_party(source, headers)
        if b"origin" not in headers and not first_party:
            return None
        return Visit(
            source,
            self._declared.get(source.key, ()),
            self._secret,
            headers,
            first_party=first_party,
            secure=request.secure,
            now=self._clock(),
        )


def _note_bot(source: Source, event: Event) -> None:
    if source.bots != "ignore" and (name := bot_in(event.context)):
        event.context["bot"] = {"name": name, "filtered": source.bots == "filter"}


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
    if fault.status in CLOSING:
        headers.append((b"connection", b"close"))
    return fault.status, _encode({"success": False, "error": fault.as_json()}), [JSON, *headers]
