"""Who may send: the source of a request by its write key, its signature, origins and rate; what pages may read."""

import base64
import binascii
import contextlib
import math
import time
from collections.abc import Callable, Sequence
from urllib.parse import parse_qsl

from firsthand.collect import signed
from firsthand.collect.faults import Fault
from firsthand.collect.hosts import same_site
from firsthand.collect.parse import peek_write_key
from firsthand.collect.request import HeaderList, Headers, Request
from firsthand.config import Source
from firsthand.personal import mask_text
from firsthand.ratelimit import TokenBucket

KNOWN_HEADERS = 1_000
QUERY_BYTES = 16 << 10
LONGEST_PATH = 100


class Access:
    """The doors of these sources. `clock` is seconds since 1970."""

    def __init__(self, sources: Sequence[Source], clock: Callable[[], float]) -> None:
        self._clock = clock
        self._by_key = {source.write_key: source for source in sources}
        self._by_header: dict[bytes, Source] = {}
        self._limits = {s.key: TokenBucket(s.rate_per_second, time.monotonic) for s in sources if s.rate_per_second}
        self._open = any(not source.origins for source in sources)
        self._origins = frozenset(origin.encode() for source in sources for origin in source.origins)

    def by_headers(self, headers: Headers) -> Source | None:
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
        source = self.by_key(key)
        if len(self._by_header) < KNOWN_HEADERS:  # with one key and a thousand passwords there are a thousand headers
            self._by_header[header] = source
        return source

    def by_key(self, key: str) -> Source:
        """The source with this write key. Raises Fault."""
        source = self._by_key.get(key)
        if source is None:
            raise Fault(401, "invalid_write_key", "no source has this write key: check `sources` in firsthand.yaml")
        return source

    def by_query(self, query: bytes) -> Source | None:
        """The source named by `writeKey` in a query; None where it names none. Raises Fault."""
        for name, value in parse_qsl(query[:QUERY_BYTES].decode("latin-1")):
            if name == "writeKey":
                return self.by_key(value)
        return None

    def lost(self, path: str, query: bytes, headers: Headers, body: bytes) -> tuple[str, str] | None:
        """Who asked for a path that is none of ours, if that was one of these sources: its key, and the path as it may
        be shown. `body` is read for a write key only."""
        source = self.named(peek_write_key(body))
        with contextlib.suppress(Fault):
            source = self.by_query(query) or source
        with contextlib.suppress(Fault):
            source = self.by_headers(headers) or source
        if source is None:
            return None
        for key in self._by_key:
            path = path.replace(key, "KEY")
        return source.key, "".join(c if c.isprintable() else "?" for c in mask_text(path)[:LONGEST_PATH])

    def named(self, key: str | None) -> Source | None:
        """The source with this write key, if there is one."""
        return self._by_key.get(key) if key else None

    def verify(self, source: Source, request: Request) -> None:
        """The endpoint or the source asks for a signature: it must be there and right."""
        if request.sent is None or (not request.must_be_signed and b"x-signature" not in request.headers):
            raise signed.unsigned(source)
        request.signature = signed.verify(source, request.headers, request.sent, int(self._clock() * 1000))

    def check(self, source: Source | None, write_key: str | None, request: Request, events: int) -> Source:
        """The source of a request, once its body has been seen; its signature, origins and rate are held to."""
        if source is None:
            if not write_key:
                raise missing_write_key()
            source = self.by_key(write_key)
            if request.must_be_signed or source.require_signature:
                self.verify(source, request)
        check_origin(source, request.headers)
        bucket = self._limits.get(source.key)
        if bucket is not None and (pause := bucket.take(events)):
            message = f"source {source.key} may send {source.rate_per_second:g} events a second"
            raise Fault(429, "rate_limited", message, retry_after=math.ceil(pause))
        return source

    def cors(self, headers: Headers, *, refused: bool = False) -> HeaderList:
        """What a page may read of the answer. With cookies, only a page of the collector's own site, or one that a
        source names; without, any page where a source names none. A refusal any page may read: it holds nobody's data,
        and who does not learn of it tries for ever."""
        origin = headers.get(b"origin")
        if origin is None:
            return []
        listed = origin in self._origins
        if not listed and not self._open and not refused:
            return []
        said = [
            (b"access-control-allow-origin", origin),
            (b"access-control-expose-headers", b"Retry-After, X-Firsthand-Id, X-Firsthand-Keep"),
            (b"vary", b"Origin"),
        ]
        if listed or same_site(origin, headers.get(b"host", b"")):
            said.append((b"access-control-allow-credentials", b"true"))
        return said


def missing_write_key() -> Fault:
    return Fault(401, "missing_write_key", "send the write key by Basic or Bearer authorization, or as writeKey")


def check_origin(source: Source, headers: Headers) -> None:
    """Refuse a page that the source does not name, if it names any."""
    origin = headers.get(b"origin")
    if origin is not None and source.origins and not is_first_party(source, headers):
        raise Fault(403, "origin_not_allowed", f"the page's origin is not among the origins of source {source.key}")


def is_first_party(source: Source, headers: Headers) -> bool:
    """Whether the cookies of a request are this source's to read and set: a page that the source names asks or, where
    it names none, one of the collector's own site."""
    origin, host = headers.get(b"origin"), headers.get(b"host", b"")
    if origin in (None, b"null") and headers.get(b"sec-fetch-site") in (b"same-origin", b"same-site"):
        # The page sends no referrer, so that it has no name; the browser vouches for its site all the same.
        return not source.origins or any(same_site(named.encode(), host) for named in source.origins)
    if origin is None:
        return False
    if source.origins:
        return origin.decode("latin-1") in source.origins
    return same_site(origin, host)


def preflight(headers: Headers) -> HeaderList:
    return [
        (b"access-control-allow-methods", b"GET, POST, OPTIONS"),
        (
            b"access-control-allow-headers",
            headers.get(b"access-control-request-headers", b"authorization, content-type"),
        ),
        (b"access-control-max-age", b"86400"),
    ]
