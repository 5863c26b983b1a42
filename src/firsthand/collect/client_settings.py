"""The settings documents that Segment's and RudderStack's clients ask for before they send anything.

They come from the vendor's own CDN or control plane otherwise, and without one some clients send nothing at all. Ours
name one destination, the collector itself, and switch off what would report to the vendor.
"""

import re
from typing import Any

import msgspec

from firsthand.collect.faults import Fault
from firsthand.collect.request import Answer, Headers, Scope
from firsthand.config import Source

SOURCE_CONFIG = "/sourceConfig"
"""RudderStack's; its clients add a slash and say the write key by Basic authorization, in the query or both."""

_SEGMENT = re.compile(r"(?:/v1)?/projects/([^/]+)/settings")
_HEADERS = [(b"content-type", b"application/json"), (b"cache-control", b"private, max-age=300")]
_HOST = re.compile(rb"[A-Za-z0-9_.:\[\]-]{1,260}")


def takes(path: str) -> bool:
    """Whether this is the address of such a document, without a slash at its end."""
    return path == SOURCE_CONFIG or _SEGMENT.fullmatch(path) is not None


def key_in(path: str) -> str | None:
    """The write key in the address."""
    match = _SEGMENT.fullmatch(path)
    return match[1] if match else None


def answer(path: str, source: Source, address: str | None) -> Answer:
    """The document of a source; `address` is where its clients reach the collector, where that is known."""
    document = _rudderstack(source) if path == SOURCE_CONFIG else _segment(source, address)
    return 200, msgspec.json.encode(document), _HEADERS


def address(scope: Scope, headers: Headers, public_url: str | None) -> str | None:
    """Under which address a client reaches the collector: the configured one, else as it was asked.

    A proxy that nobody trusts may have taken the request by https: then a page of https has asked, as its browser
    lets it ask nothing else.
    """
    if public_url is not None:
        return public_url
    host = headers.get(b"host", b"")
    if not _HOST.fullmatch(host):
        return None
    page = headers.get(b"origin") or headers.get(b"referer") or b""
    secure = scope.get("scheme") == "https" or page.startswith(b"https:")
    return f"{'https' if secure else 'http'}://{host.decode()}"


def method(path: str, method: str) -> None:
    """Raise the fault of a method that these addresses do not take."""
    if method != "GET":
        raise Fault(405, "method_not_allowed", f"{path[:80]} takes GET", allow="GET, OPTIONS")


def _segment(source: Source, address: str | None) -> dict[str, Any]:
    """As analytics-next, analytics-kotlin, analytics-swift and analytics-react-native read it. Clients put `apiHost`
    behind https://, and analytics-next behind `protocol`. A destination by another name would make them load code
    for it; the sample rate is that of the metrics they send of themselves."""
    ours: dict[str, Any] = {"apiKey": source.write_key, "unbundledIntegrations": [], "maybeBundledConfigIds": {}}
    if address is not None:
        protocol, _, host = address.partition("://")
        ours |= {"apiHost": f"{host}/v1", "protocol": protocol}
    return {
        "integrations": {"Segment.io": ours},
        "plan": {"track": {"__default": {"enabled": True, "integrations": {}}}},
        "edgeFunction": {},
        "middlewareSettings": {},
        "enabledMiddleware": {},
        "remotePlugins": [],
        "metrics": {"sampleRate": 0},
        "legacyVideoPluginsEnabled": False,
        "analyticsNextEnabled": True,
    }


def _rudderstack(source: Source) -> dict[str, Any]:
    """As RudderStack's clients for JavaScript and for apps read it. `destinations` are those that a client would
    serve itself; it sends to the data plane it was started with whatever stands there."""
    quiet = {"errors": {"enabled": False}, "metrics": {"enabled": False}}
    return {
        "isHosted": True,
        "source": {
            "id": source.key,
            "name": source.name,
            "writeKey": source.write_key,
            "enabled": True,
            "workspaceId": "firsthand",
            "config": {"statsCollection": quiet},
            "destinations": [],
            "dataplanes": {},
        },
    }
