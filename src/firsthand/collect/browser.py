"""What a page's events are completed with: consent, the visitor's own id, the session, and vendors' cookies.

Nothing is set, and nothing that was set is read, before the visitor's consent is known to allow it; a refusal
removes what is there. A cookie is only the business of a page of our own site, or one that the source names.
"""

import re
import uuid
from collections.abc import Iterable, Iterator, Sequence
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from firsthand.collect.cookies import Jar, set_cookie
from firsthand.collect.hosts import same_site, site_of
from firsthand.collect.request import HeaderList, Headers
from firsthand.config import Integration, Source
from firsthand.consent import cmp
from firsthand.consent.storage import may_store, refuses_storing
from firsthand.event import Event
from firsthand.placeholders import clean_id, placeholder
from firsthand.secret import Secret
from firsthand.vendors import get
from firsthand.vendors.base import Cookie

SCRIPT = "firsthand.js"
KEEP = b"x-firsthand-keep"
"""The header that says whether the page's script may keep something in the browser: `1`, `0`, or nothing while the
visitor's answer is not known. Only we can read every answer, so the script does not judge for itself."""
WHO = b"x-firsthand-id"
"""The header that says who the visitor is, where the page's script proposed somebody else."""
SEALING = "cookie"
"""For which purpose the secret encrypts what a cookie holds."""
PARAMETERS = 200
MOST_REMOVED = 50
EMAIL_LENGTH = 254
_is_uuid = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}").fullmatch
# A vendor's own tag may have set the cookie before us, and not all write hyphens.
_is_guid = re.compile(r"[0-9a-fA-F]{8}(?:-?[0-9a-fA-F]{4}){3}-?[0-9a-fA-F]{12}").fullmatch
_is_opaque = re.compile(r"[!-~]{1,512}").fullmatch


def is_visitor(id: str) -> bool:
    return _is_uuid(id) is not None and placeholder(id) is None


def _is_somebodys_guid(id: str) -> bool:
    return _is_guid(id) is not None and placeholder(id) is None


def _is_somebodys(id: str) -> bool:
    return _is_opaque(id) is not None and clean_id(id) is not None


_NONE: dict[str, str] = {}
_UNASKED = object()
# The cookies that say when a vendor was last asked for its id.
_is_sync_marker = re.compile(r"fh_sync_[a-z0-9_-]{1,40}").fullmatch


def cookies_of(source: str, integrations: Iterable[Integration]) -> tuple[Cookie, ...]:
    """The cookies that the vendors fed by a source declare; of two with one name, the first."""
    found: dict[str, Cookie] = {}
    for integration in integrations:
        if integration.enabled and integration.takes_source(source):
            for cookie in get(integration.vendor).cookies(integration.settings):
                found.setdefault(cookie.name, cookie)
    return tuple(found.values())


def id_names_of(source: str, integrations: Iterable[Integration]) -> frozenset[str]:
    """What the vendors fed by a source call their ids."""
    vendors = [get(one.vendor) for one in integrations if one.enabled and one.takes_source(source)]
    return frozenset(vendor.id_name for vendor in vendors if vendor.id_name is not None)


class Visit:
    """One request from a page: completes its events one after the other, then says which cookies go with the answer.

    `first_party`: the request's cookies are this source's to read and to set. `now` is seconds since 1970.
    """

    __slots__ = (
        "_anonymous", "_changed", "_declared", "_gpc", "_jar", "_judged", "_keep", "_now", "_of_tools", "_secret",
        "_secure", "_session", "_site", "_somebody_else", "_source", "_tell", "_values",
    )  # fmt: skip

    def __init__(
        self,
        source: Source,
        declared: Sequence[Cookie],
        secret: Secret,
        headers: Headers,
        *,
        first_party: bool,
        secure: bool,
        now: float,
    ) -> None:
        self._source = source
        self._declared = declared
        self._secret = secret
        self._secure = secure
        self._now = now
        self._gpc = headers.get(b"sec-gpc") == b"1"
        self._jar = Jar(headers.get(b"cookie") if first_party else None)
        tools = cmp.COOKIES if source.cmp.cookie is None else (*cmp.COOKIES, source.cmp.cookie)
        self._of_tools = self._jar.all if self._jar.may_have(tools) else _NONE
        # Where the cookies are too many to look at, ours may be among them: none is set over it.
        self._site = site_of(headers.get(b"host", b"")) if first_party and self._jar.whole else None
        self._keep: bool | None = None
        """The visitor's newest answer in this request: may anything be kept? None: unknown."""
        self._judged: tuple[Any, bool | None] = (_UNASKED, None)
        """What was last asked about a consent, and the answer."""
        self._anonymous: str | None = None
        self._somebody_else = False
        """Whether what the cookies hold is of who was here before."""
        self._tell = False
        """Whether the script is to be told who the visitor is."""
        self._session: str | None = None
        self._values: dict[str, str] = {}
        """What the vendors' cookies are to hold, by name."""
        self._changed: set[str] = set()

    def complete(self, event: Event) -> None:
        """Fill in what the request knows and the event does not. Never raises, whatever either of them holds."""
        context = event.context
        library = context.get("library")
        by_script = isinstance(library, dict) and library.get("name") == SCRIPT
        reset = by_script and context.pop("reset", None) in (True, "1")
        cmp.complete(context, self._of_tools, self._gpc, self._source.cmp)
        ids = self._landing(event, context.pop("landing", None) if by_script else None)
        if self._site is not None:
            keep = self._may_keep(context)
            if keep is not None:
                self._keep = keep
            if keep:
                self._recognise(event, ids, by_script, reset)
        if ids:
            own = context.get("ids")
            context["ids"] = {**ids, **own} if isinstance(own, dict) else ids

    def headers(self, page: dict[str, Any] | None = None) -> HeaderList:
        """For the answer, once the events are kept: cookies, and whether the script may keep something.

        `page` is what the page says of itself at the time it sends, where it does: events that waited may be of an
        older answer.
        """
        keep = self._keep
        if page is not None and self._site is not None:
            now: dict[str, Any] = {key: page[key] for key in ("consent", "cmp") if key in page}
            cmp.complete(now, self._of_tools, self._gpc, self._source.cmp)
            keep = self._may_keep(now)
        said = self._set_cookies()
        if keep and self._tell and self._anonymous is not None:
            said.append((WHO, self._anonymous.encode()))
        return said if keep is None else [(KEEP, b"1" if keep else b"0"), *said]

    def _may_keep(self, context: dict[str, Any]) -> bool | None:
        consent = context.get("consent")
        if consent != self._judged[0]:  # the events of a batch say the same, or nearly always
            keep = may_store(consent, self._source.cookies) or (False if refuses_storing(consent) else None)
            self._judged = consent, keep
        return self._judged[1]

    def _set_cookies(self) -> HeaderList:
        if self._site is None or self._keep is None:
            return []
        site, secure, rule = self._site, self._secure, self._source.cookies
        if not self._keep:
            ours = {rule.anonymous_id, rule.session, *(name for c in self._declared for name in (c.name, *c.adopts))}
            gone = [name for name in self._jar.all if name in ours or _is_sync_marker(name)]
            return [set_cookie(name, "", 0, site, secure) for name in gone[:MOST_REMOVED]]
        said: HeaderList = []
        if self._anonymous is not None:
            said.append(set_cookie(rule.anonymous_id, self._anonymous, rule.max_age, site, secure))
        if self._session is not None:
            said.append(set_cookie(rule.session, self._session, rule.session_max_age, site, secure))
        for cookie in self._declared:
            value = self._values.get(cookie.name)
            if value is not None and (cookie.renew or cookie.name in self._changed):
                said.append(set_cookie(cookie.name, self._sealed(cookie, value), cookie.max_age, site, secure))
            elif self._somebody_else and cookie.make == "email":
                said.append(set_cookie(cookie.name, "", 0, site, secure))
        return said

    # -- whose event it is -----------------------------------------------------------------------------------------

    def _recognise(self, event: Event, ids: dict[str, str], by_script: bool, reset: bool) -> None:
        rule, context = self._source.cookies, event.context
        if self._anonymous is None:
            self._anonymous = self._jar.get(rule.anonymous_id, is_visitor)
        if by_script:
            self._name(event, reset)
        if self._session is None:
            known = None if self._somebody_else else self._jar.get(rule.session, is_visitor)
            self._session = known or self._new(event, rule.session, rule.session_max_age)
        context.setdefault("sessionId", self._session)
        for cookie in self._declared:
            value = self._value(cookie, event)
            if value is not None:
                ids.setdefault(cookie.id, value)

    def _name(self, event: Event, reset: bool) -> None:
        """The script proposes an id, the cookie decides; the proposal becomes the cookie where there is none, and after
        `reset()`: whoever comes next is somebody else."""
        proposal = event.anonymous_id
        if reset and proposal != self._anonymous:
            self._anonymous = self._session = None
            self._somebody_else = True
        if self._anonymous is None:
            if proposal is not None and not is_visitor(proposal):
                return  # not the script's
            self._anonymous = proposal or str(uuid.uuid4())
        if proposal is not None and proposal != self._anonymous:
            self._tell = True
            if event.previous_id is None:
                event.previous_id = proposal
        event.anonymous_id = self._anonymous

    def _new(self, event: Event, name: str, max_age: float) -> str:
        """A UUID v4. Two requests of a new visitor that arrive at once get the same one, as both carry the anonymous id
        that the page made; so it is made from that, and anew once an older one of this name has surely expired. It
        takes the secret to make it, as the anonymous id itself is sent to other vendors, who are not to know these."""
        visitor = self._anonymous or event.anonymous_id
        if visitor is None:
            return str(uuid.uuid4())
        return str(self._secret.make_id(name, f"{int(self._now // max_age)} {visitor}"))

    # -- vendors' cookies ------------------------------------------------------------------------------------------

    def _landing(self, event: Event, landing: object) -> dict[str, str]:
        """The ids in the address of the event's page, such as those of a newsletter's links. Nothing may be kept of
        them before the visitor has answered, which may be a page later: so the page before counts, where it is of the
        same site, and `landing`, which is the query that the script was loaded with."""
        ids: dict[str, str] = {}
        for cookie in self._declared:
            if cookie.make == "query":
                addresses = _addresses(event, landing, f"{cookie.query}=")
                value = next(filter(None, (_parameter(address, cookie.query) for address in addresses)), None)
                if value is not None:
                    ids[cookie.id] = value
                    self._put(cookie.name, value)
        return ids

    def _value(self, cookie: Cookie, event: Event) -> str | None:
        if cookie.make == "email":
            email = event.email
            if email is not None and "@" in email and len(email) <= EMAIL_LENGTH:
                self._put(cookie.name, email.strip())
        value = self._values.get(cookie.name)
        if value is not None:
            return value
        match cookie.make:
            case "uuid":
                found = (self._jar.get(name, _is_somebodys_guid) for name in (cookie.name, *cookie.adopts))
                value = next(filter(None, found), None) or self._new(event, cookie.name, cookie.max_age)
            case "query":
                value = self._jar.get(cookie.name, _is_somebodys)
            case "email":
                value = None if self._somebody_else else self._opened(self._jar.get(cookie.name, _is_opaque))
        if value is not None:
            self._values[cookie.name] = value
        return value

    def _put(self, name: str, value: str) -> None:
        self._values[name] = value
        self._changed.add(name)

    def _opened(self, sealed: str | None) -> str | None:
        data = None if sealed is None else self._secret.decrypt(SEALING, sealed)
        return None if data is None else data.decode("utf-8", "replace")

    def _sealed(self, cookie: Cookie, value: str) -> str:
        """What the cookie holds: an e-mail address is never there in clear text."""
        return value if cookie.make != "email" else self._secret.encrypt(SEALING, value.encode())


def _addresses(event: Event, landing: object, wanted: str) -> Iterator[str]:
    """Those that hold the wanted text and may be the visitor's landing page's, the likeliest first."""
    url = event.text("context", "page", "url") or event.text("properties", "url")
    if url is not None and wanted in url:
        yield url
    referrer = event.text("context", "page", "referrer")
    if url is not None and referrer is not None and wanted in referrer and _same_site(url, referrer):
        yield referrer
    if isinstance(landing, str) and wanted in landing:
        yield landing


def _same_site(url: str, other: str) -> bool:
    try:
        one, two = urlsplit(url), urlsplit(other)
    except ValueError:
        return False
    origin = f"{one.scheme}://{one.netloc}"
    return same_site(origin.encode("utf-8", "replace"), two.netloc.encode("utf-8", "replace"))


def _parameter(address: str, name: str) -> str | None:
    """A parameter of an address, the first with that name. None for what no id looks like: an e-mail address, which
    some newsletters put there, must not stand in a cookie."""
    try:
        values = parse_qs(urlsplit(address).query, max_num_fields=PARAMETERS).get(name)
    except ValueError:
        return None
    id = clean_id(values[0]) if values else None
    return id if id and _is_opaque(id) and "@" not in unquote(id) else None
