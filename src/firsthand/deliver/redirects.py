"""Sends a request and follows the vendor's redirects, by rules that keep personal data where it belongs.

- Only 307 and 308: same method, same body. Any other 3xx is refused.
- Only to hosts the vendor allows, or to the host of an endpoint that was configured.
- Where the entry is https, a redirect to http is upgraded: the body holds personal data.
- Query parameters that the redirect lost are put back.
- At most three hops; a loop is refused.
- Where a redirect led is remembered for an hour and used at once. When the remembered place fails with a
  redirect that is refused, it is forgotten and the entry is asked once more; when it cannot be reached, it is
  forgotten too.
"""

from collections.abc import Sequence
from fnmatch import fnmatchcase
from urllib.parse import urljoin, urlsplit, urlunsplit

import msgspec

from firsthand.deliver.clock import Clock
from firsthand.http import Transport
from firsthand.ledger.records import Exchange, Failure
from firsthand.vendors.base import Answer, Request

MAX_HOPS = 3
REMEMBER_SECONDS = 3600.0


class RedirectRefused(msgspec.Struct, frozen=True):
    """A redirect that was not followed, and why."""

    message: str


Result = Answer | Failure | RedirectRefused


class Sender:
    """Exchanges for one integration. `hosts` are patterns such as `*.criteo.com`."""

    def __init__(self, transport: Transport, hosts: Sequence[str], clock: Clock) -> None:
        self._transport = transport
        self._hosts = hosts
        self._clock = clock
        self._remembered: dict[str, tuple[str, float]] = {}

    async def close(self) -> None:
        await self._transport.close()

    async def send(self, request: Request, index: int) -> tuple[Result, list[Exchange]]:
        """Send one request to its end. Returns the result and each exchange on the way to it."""
        exchanges: list[Exchange] = []
        if not self._remembered:
            return await self._follow(request, request.url, index, exchanges), exchanges
        entry, _, query = request.url.partition("?")
        place, until = self._remembered.get(entry, (entry, 0.0))
        if place == entry or until < self._clock.monotonic():
            return await self._follow(request, request.url, index, exchanges), exchanges
        result = await self._follow(request, f"{place}?{query}" if query else place, index, exchanges)
        if isinstance(result, RedirectRefused):
            self._remembered.pop(entry, None)
            result = await self._follow(request, request.url, index, exchanges)
        elif isinstance(result, Failure) and not result.sent:
            self._remembered.pop(entry, None)  # it may be gone: the next try asks the entry
        return result, exchanges

    async def _follow(self, request: Request, url: str, index: int, exchanges: list[Exchange]) -> Result:
        visited = [url]
        while True:
            hop = len(visited) - 1
            started_ms, started = self._clock.now_ms(), self._clock.monotonic()
            result = await self._transport.send(request.method, url, request.headers, request.body)
            duration_ms = round((self._clock.monotonic() - started) * 1000)
            sent = (started_ms, duration_ms, index, hop, request.method, url, request.headers, request.body)
            if isinstance(result, Failure):
                exchanges.append(Exchange(*sent, failure=result))
                return result
            exchanges.append(Exchange(*sent, result.status, result.headers, result.body))
            if not 300 <= result.status < 400:
                if hop:
                    entry = request.url.partition("?")[0]
                    self._remembered[entry] = (url.partition("?")[0], self._clock.monotonic() + REMEMBER_SECONDS)
                return result
            target = self._target(request.url, url, result)
            if isinstance(target, RedirectRefused):
                return target
            if target in visited:
                return RedirectRefused(f"the redirects lead round in a circle (back to {_shown(target)})")
            if hop == MAX_HOPS:
                return RedirectRefused(f"more than {MAX_HOPS} redirects")
            visited.append(target)
            url = target

    def _target(self, entry: str, url: str, answer: Answer) -> str | RedirectRefused:
        if answer.status not in (307, 308):
            return RedirectRefused(f"HTTP {answer.status} would change the request; only 307 and 308 are followed")
        location = answer.headers.get("location")
        if not location:
            return RedirectRefused(f"HTTP {answer.status} without a Location")
        try:
            target = urlsplit(urljoin(url, location))
            host, port = target.hostname or "", target.port
        except ValueError:
            return RedirectRefused("the Location is not a URL")
        if target.scheme not in ("http", "https"):
            return RedirectRefused(f"a redirect to {target.scheme or 'no scheme'}:")
        first = urlsplit(entry)
        if host != first.hostname and not any(fnmatchcase(host, pattern) for pattern in self._hosts):
            return RedirectRefused(f"a redirect to {host}, which is no host of this vendor")
        scheme, netloc = target.scheme, target.netloc
        if first.scheme == "https" and scheme == "http":
            scheme, netloc = "https", host if port in (None, 80) else f"{host}:{port}"
        return urlunsplit((scheme, netloc, target.path, _merged(target.query, first.query), ""))


def _merged(query: str, original: str) -> str:
    """A query with the original's parameters added that it lacks, byte for byte."""
    pairs = [pair for pair in query.split("&") if pair]
    names = {pair.partition("=")[0] for pair in pairs}
    pairs += [pair for pair in original.split("&") if pair and pair.partition("=")[0] not in names]
    return "&".join(pairs)


def _shown(url: str) -> str:
    return urlsplit(url)._replace(query="").geturl()
