"""Cookie syncs: how a page learns a vendor's id of the visitor, which only the vendor's own cookie knows.

| route | does |
|---|---|
| `GET /v1/settings?writeKey&anonymousId&consent` | the syncs that are due, each with the address of a script to load |
| `POST /v1/sync/{name}` | takes what that script answered |
| `GET /v1/sync/{name}?writeKey&anonymousId` | for pages that allow no such script: redirects to the vendor |
| `GET /v1/sync/{name}/return/{signed}/{id}` | where the vendor redirects back to, with its id |

An answer is an event like any other: an `identify` with `properties.sync`, and with the id under `context.ids` as
`name@CALLER`, since vendors salt ids per caller. A sync is offered where the visitor's consent allows the integration
that it is for, once per caller; a cookie remembers for how long none is due.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, quote, unquote_to_bytes

import msgspec

from firsthand.collect import pixel, return_address
from firsthand.collect.access import Access, is_first_party, preflight
from firsthand.collect.browser import SCRIPT, Visit, is_visitor
from firsthand.collect.complete import NOBODY, complete
from firsthand.collect.cookies import Jar, set_cookie
from firsthand.collect.faults import Fault
from firsthand.collect.hosts import Site, site_of, site_of_page
from firsthand.collect.offers import Marker, Offer, allowed, offers_of
from firsthand.collect.parse import EVENT_BYTES, Wire, check_depth, without_mark
from firsthand.collect.request import Answer, Body, HeaderList, Headers, Request, Scope, connection
from firsthand.config import Integration, Source
from firsthand.consent import cmp, decide
from firsthand.consent.storage import may_store
from firsthand.event import Event, format_time
from firsthand.placeholders import clean_id
from firsthand.secret import Secret
from firsthand.vendors.base import Sync

SETTINGS = "/v1/settings"
PREFIX = "/v1/sync/"
QUERY_BYTES = 16 << 10
ID_LENGTH = 256
MACRO = "@USERID@"
"""In whose place the vendor puts its id."""
_JSON = [(b"content-type", b"application/json"), (b"cache-control", b"no-store")]


class Report(msgspec.Struct, rename="camel"):
    """The body of `POST /v1/sync/{name}`."""

    status: str
    caller_id: str | int
    id: str | None = None
    anonymous_id: str | None = None
    write_key: str | None = None
    consent: Any = None


class Asked(NamedTuple):
    """Who asks, and what the browser brings."""

    source: Source
    offers: Sequence[Offer]
    event: Event
    """What an answer would be; it has the visitor's id, if there is one, and consent."""
    jar: Jar
    site: Site | None
    """Whose cookies may be set. None: none may."""
    secure: bool
    visit: Visit | None = None


class Syncs:
    """The routes. `visit` is what a page's request brings besides its events, `keep` puts an event into the event log;
    `public_url` is the collector's address as browsers know it, where it is configured."""

    def __init__(
        self,
        secret: Secret,
        clock: Callable[[], float],
        visit: Callable[[Source, Request], Visit | None],
        keep: Callable[[Source, Event, int], Awaitable[None]],
        public_url: str | None = None,
        emulator_url: str = "",
    ) -> None:
        self._secret = secret
        self._clock = clock
        self._visit = visit
        self._keep = keep
        self._public_url = public_url
        self._emulator_url = emulator_url

    def reload(self, access: Access, sources: Sequence[Source], integrations: Sequence[Integration]) -> None:
        self._access = access
        self._sources = {source.key: source for source in sources}
        self._offers = {s.key: offers_of(s.key, integrations, self._emulator_url) for s in sources}

    @staticmethod
    def takes(path: str) -> bool:
        """Whether this is one of the routes."""
        return path == SETTINGS or path.startswith(PREFIX)

    async def answer(self, scope: Scope, headers: Headers, body: Body) -> Answer:
        path, method = scope["path"], scope["method"]
        name, _, rest = path.removeprefix(SETTINGS).removeprefix(PREFIX).partition("/")
        takes = "GET, OPTIONS" if path == SETTINGS else "GET" if rest else "GET, OPTIONS, POST"
        if rest and not rest.startswith("return/"):
            raise Fault(404, "not_found", "there is nothing here but /v1/sync/{name}")
        if method == "OPTIONS" and "OPTIONS" in takes:
            return 204, b"", preflight(headers)
        if method not in takes.split(", "):
            raise Fault(405, "method_not_allowed", f"this address takes {takes}", allow=takes)
        if method == "POST":
            return await self._report(name, scope, headers, body)
        if path == SETTINGS:
            return await self._settings(scope, headers)
        try:
            return await (self._return(name, scope, headers) if rest else self._redirect(name, scope, headers))
        except Fault as fault:  # to the page it is an image
            return fault.status, pixel.GIF, [*pixel.HEADERS, pixel.error_header(fault)]

    # -- routes ----------------------------------------------------------------------------------------------------

    async def _settings(self, scope: Scope, headers: Headers) -> Answer:
        asked = self._asked(_query(scope), scope, headers)
        if _is_elsewhere(asked.source, headers):
            return 200, msgspec.json.encode({"syncs": []}), _JSON
        syncs, cookies = [], []
        for sync in allowed(asked.offers, asked.event):
            if sync.caller in self._marker(asked, sync).until:
                continue
            known = _known(asked, sync)
            if known is None:
                syncs.append({"name": sync.name, "callerId": sync.caller, "url": sync.url})
            elif asked.event.anonymous_id is not None:
                cookies = await self._take(asked, sync, "OK", known)
        return 200, msgspec.json.encode({"syncs": syncs}), [*_JSON, *cookies]

    async def _report(self, name: str, scope: Scope, headers: Headers, body: Body) -> Answer:
        source, sent = self._access.by_headers(headers), await body.read()
        request = Request(headers, NOBODY, sent, sent)
        if source is not None and source.require_signature:
            self._access.verify(source, request)
        report = _read_report(without_mark(sent))
        source = self._access.check(source, report.write_key, request, 1)
        if b"origin" not in headers or not is_first_party(source, headers):  # browsers name it with each POST
            raise _elsewhere(source)
        _check_visitor(source, report.anonymous_id, headers)
        asked = self._visitor(source, report.anonymous_id, report.consent, scope, headers)
        if asked.event.anonymous_id is None:
            raise _nobody()
        offers = _of(asked.offers, name, str(report.caller_id))
        # The script does not always know of the visitor's consent what it knew when the sync was offered to it.
        _admit(offers, asked.event, ("allow", "hold"))
        status = report.status
        if status == "OK" and report.id and report.id.strip() and clean_id(report.id) is None:
            status = "unknown"  # the vendor's script has no id, and wrote what its language has for nothing
        id = _id(report.id) if status == "OK" and report.id else None
        if status == "OK" and id is None:
            raise Fault(400, "field_invalid", f"an id has 1 to {ID_LENGTH} printable characters", "$.id")
        return 200, b'{"success":true}', [*_JSON, *await self._take(asked, offers[0].declared, status, id)]

    async def _redirect(self, name: str, scope: Scope, headers: Headers) -> Answer:
        query = _query(scope)
        asked = self._asked(query, scope, headers)
        if _is_elsewhere(asked.source, headers):
            raise _elsewhere(asked.source)
        if asked.event.anonymous_id is None:
            raise _nobody()
        offers = _of(asked.offers, name, query.get("callerId"))
        _admit(offers, asked.event, ("allow",))
        for sync in allowed(offers, asked.event):
            marker = self._marker(asked, sync)
            if sync.caller not in marker.until:
                back = quote(self._return_address(asked, sync, scope, headers), safe="")
                location = sync.redirect_url.replace("{return}", back).encode()
                # The visitor's own cookie, so that the way back is known for theirs.
                cookies = asked.visit.headers() if asked.visit else []
                if asked.site:  # should the vendor never lead back, it is not asked again at every page
                    cookies.append(marker.set(sync.caller, sync.retry_age, asked.site, asked.secure))
                return 302, b"", [(b"location", location), (b"cache-control", b"no-store"), *cookies]
        return 200, pixel.GIF, pixel.HEADERS

    async def _return(self, name: str, scope: Scope, headers: Headers) -> Answer:
        path = (scope.get("raw_path") or quote(scope["path"]).encode()).decode("latin-1")
        token, _, encoded = path.partition("/return/")[2].partition("/")
        said = return_address.verify(self._secret, token, name, self._clock())
        source = self._sources.get(said.source)
        if source is None:
            raise _unknown()
        offers = self._offers[source.key]
        sync = _of(offers, name, said.caller)[0].declared
        try:
            text = unquote_to_bytes(encoded).decode()
        except UnicodeDecodeError:
            raise Fault(400, "field_invalid", "the id is not percent-encoded UTF-8") from None
        nothing = text == MACRO or (clean_id(text) is None and not text.isspace())
        id = None if nothing else _id(text)
        if id is None and not nothing:
            raise Fault(400, "field_invalid", f"an id has 1 to {ID_LENGTH} printable characters")
        jar = Jar(headers.get(b"cookie"))
        is_theirs = jar.get(source.cookies.anonymous_id, said.anonymous_id.__eq__) is not None
        if not is_theirs and (source.cookies.anonymous_id in jar or not _comes_from(said.site, source, headers)):
            raise Fault(403, "address_invalid", "this address was made for another visitor")
        event = self._event(said.anonymous_id, {"consent": said.consent} if said.consent else {}, scope, headers)
        event.message_id = return_address.message_id(token)
        event.timestamp = format_time(said.at * 1000)  # the consent is of then: who has withdrawn since has withdrawn
        site = site_of(headers.get(b"host", b"")) if is_theirs and said.keep else None
        asked = Asked(source, offers, event, jar if said.keep else Jar(None), site, _is_secure(scope))
        return 200, pixel.GIF, [*pixel.HEADERS, *await self._take(asked, sync, "OK" if id else "unknown", id)]

    # -- steps -----------------------------------------------------------------------------------------------------

    def _asked(self, query: dict[str, str], scope: Scope, headers: Headers) -> Asked:
        headers = pixel.with_origin(headers)
        source = self._access.check(None, query.get("writeKey"), Request(headers, NOBODY, b""), 1)
        return self._visitor(source, query.get("anonymousId"), _consent(query), scope, headers)

    def _visitor(self, source: Source, proposal: str | None, consent: Any, scope: Scope, headers: Headers) -> Asked:
        """`consent` is what the page knows: a `context.consent`, and `cmp` in it what it saw of consent tools."""
        context: dict[str, Any] = {"library": {"name": SCRIPT}}
        if isinstance(consent, dict):
            context["consent"] = {key: value for key, value in consent.items() if key != "cmp"}
            context["cmp"] = consent.get("cmp")
        event, secure = self._event(proposal, context, scope, headers), _is_secure(scope)
        visit = self._visit(source, Request(headers, NOBODY, b"", secure=secure))
        if visit is not None:
            visit.complete(event)
        else:
            cmp.complete(event.context, {}, headers.get(b"sec-gpc") == b"1", source.cmp)
        keep = is_first_party(source, headers) and may_store(event.context.get("consent") or {}, source.cookies)
        jar = Jar(headers.get(b"cookie") if keep else None)
        site = site_of(headers.get(b"host", b"")) if keep and jar.whole else None
        return Asked(source, self._offers[source.key], event, jar, site, secure, visit)

    def _event(self, anonymous_id: str | None, context: dict[str, Any], scope: Scope, headers: Headers) -> Event:
        """An `identify`; without an id it can't be kept."""
        now_ms = int(self._clock() * 1000)
        event = complete(
            Wire(anonymous_id=anonymous_id or "nobody", context=context),
            type="identify",
            now_ms=now_ms,
            received_at=format_time(now_ms),
            connection=connection(scope, headers),
        )
        event.anonymous_id = clean_id(anonymous_id)
        return event

    async def _take(self, asked: Asked, sync: Sync, status: str, id: str | None) -> HeaderList:
        """Keep an answer; the cookies that go with ours."""
        event = asked.event
        status = status if status in ("OK", "OptOut") else "unknown"
        event.properties = {"sync": {"vendor": sync.name, "caller": sync.caller, "status": status}}
        if status == "OK":
            event.context["ids"] = {**(event.context.get("ids") or {}), f"{sync.id}@{sync.caller}": id}
        await self._keep(asked.source, event, int(self._clock() * 1000))
        cookies = asked.visit.headers() if asked.visit else []
        if asked.site is not None:
            age = sync.retry_age if status == "unknown" else sync.max_age
            cookies.append(self._marker(asked, sync).set(sync.caller, age, asked.site, asked.secure))
            if status == "OptOut" and sync.cookie is not None and sync.cookie in asked.jar:
                cookies.append(set_cookie(sync.cookie, "", 0, asked.site, asked.secure))
        return cookies

    def _marker(self, asked: Asked, sync: Sync) -> Marker:
        return Marker(sync.name, asked.offers, asked.jar, self._clock())

    def _return_address(self, asked: Asked, sync: Sync, scope: Scope, headers: Headers) -> str:
        base, host = self._public_url, headers.get(b"host", b"")
        if base is None:
            if site_of(host) is None:
                raise Fault(400, "invalid_host", "the Host header is no name that a browser could come back to")
            base = f"{'https' if _is_secure(scope) else 'http'}://{host.decode('latin-1')}"
        consent = asked.event.context.get("consent")
        said = return_address.Return(
            source=asked.source.key,
            name=sync.name,
            caller=sync.caller,
            anonymous_id=asked.event.anonymous_id or "",
            at=int(self._clock()),
            keep=asked.site is not None,
            consent=consent if isinstance(consent, dict) else {},
            site=_page_site(headers),
        )
        return f"{base}{PREFIX}{sync.name}/return/{return_address.sign(self._secret, said)}/{MACRO}"


def _is_secure(scope: Scope) -> bool:
    return bool(scope.get("scheme") == "https")


def _query(scope: Scope) -> dict[str, str]:
    """By name, the first of each."""
    query: bytes = scope["query_string"]
    if len(query) > QUERY_BYTES:
        raise Fault(413, "query_too_large", f"a query may have {QUERY_BYTES} bytes, this one has {len(query)}")
    return dict(reversed(parse_qsl(query.decode("latin-1"), keep_blank_values=True, errors="replace")))


def _consent(query: dict[str, str]) -> Any:
    data = query.get("consent", "").encode("utf-8", "replace")
    check_depth(data, "$.consent")
    try:
        return msgspec.json.decode(data) if data else None
    except (msgspec.DecodeError, RecursionError):
        raise Fault(400, "malformed_json", "consent is a context.consent as JSON", "$.consent") from None


def _read_report(body: bytes) -> Report:
    if len(body) > EVENT_BYTES:
        raise Fault(413, "event_too_large", f"a report may have {EVENT_BYTES} bytes, this one has {len(body)}")
    check_depth(body, "$")
    try:
        return msgspec.json.decode(body, type=Report)
    except msgspec.ValidationError as error:
        message, _, where = str(error).partition(" - at `$")
        raise Fault(400, "field_invalid", message, "$" + where.rstrip("`")) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise Fault(400, "malformed_json", "the body is not JSON in UTF-8", "$") from None


def _id(text: str) -> str | None:
    fits = 0 < len(text) <= ID_LENGTH and text.isprintable() and not text.isspace() and text != MACRO
    return text if fits else None


def _known(asked: Asked, sync: Sync) -> str | None:
    """The id in the vendor's own first-party cookie; whose it is, is known where there is one caller only."""
    callers = {offer.declared.caller for offer in asked.offers if offer.declared.name == sync.name}
    return asked.jar.get(sync.cookie, _id) if sync.cookie is not None and len(callers) == 1 else None


def _of(offers: Sequence[Offer], name: str, caller: str | None) -> list[Offer]:
    """Those of a name and, if one is given, of a caller."""
    named = [offer for offer in offers if offer.declared.name == name]
    found = [offer for offer in named if caller is None or offer.declared.caller == caller]
    if named and not found:
        raise Fault(400, "field_invalid", "no integration has this caller", "$.callerId")
    if not found:
        raise _unknown()
    return found


def _admit(offers: Sequence[Offer], event: Event, good: tuple[str, ...]) -> None:
    """Refuse what the visitor's consent allows for none of these integrations."""
    decisions = [decide(event, offer.policy) for offer in offers]
    if any(one.decision in good for one in decisions):
        return
    message = f"the visitor's consent does not allow this sync: {decisions[0].detail}"
    if any(one.decision == "hold" for one in decisions):
        raise Fault(403, "consent_unknown", message)
    raise Fault(403, "consent_refused", message)


def _is_elsewhere(source: Source, headers: Headers) -> bool:
    """Whether a page of another site asks. Browsers name the page's origin, or say at least whether it is another."""
    headers = pixel.with_origin(headers)
    if b"origin" in headers:
        return not is_first_party(source, headers)
    return headers.get(b"sec-fetch-site") == b"cross-site"


def _page_site(headers: Headers) -> str:
    """The site of the page that asks, as far as the browser says."""
    origin = pixel.with_origin(headers).get(b"origin")
    if origin is None and headers.get(b"sec-fetch-site") in (b"same-origin", b"same-site"):
        origin = b"https://" + headers.get(b"host", b"")
    site = None if origin is None else site_of_page(origin)
    return "" if site is None else site.domain or site.name


def _comes_from(site: str, source: Source, headers: Headers) -> bool:
    """Whether a browser that was led back by a vendor says that a page of this site began it, one that the source still
    lets ask. Its `Sec-Fetch-Site` only tells of the vendor on the way."""
    return site != "" and _page_site(headers) == site and not _is_elsewhere(source, headers)


def _check_visitor(source: Source, anonymous_id: str | None, headers: Headers) -> None:
    """Refuse to give an id to another visitor than the one whose cookie the browser has. That is all the cookie is read
    for here, with or without consent: nothing is learnt of the visitor by it."""
    known = Jar(headers.get(b"cookie")).get(source.cookies.anonymous_id, is_visitor)
    if known is not None and anonymous_id not in (known, None, ""):
        raise Fault(403, "visitor_mismatch", "this browser's cookie is another visitor's", "$.anonymousId")


def _elsewhere(source: Source) -> Fault:
    message = f"this page is not of the collector's site: name it among the origins of source {source.key}"
    return Fault(403, "origin_not_allowed", message)


def _nobody() -> Fault:
    return Fault(400, "field_missing", "say whose id it is", "$.anonymousId")


def _unknown() -> Fault:
    return Fault(404, "not_found", "no integration of this source has such a sync")
