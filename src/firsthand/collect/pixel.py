"""The pixel: an event in the address of an image, for e-mails and for pages without scripts.

    <img src="https://events.shop.example/v1/pixel/page?writeKey=KEY&anonymousId=visitor-1&name=Home">

The query becomes the JSON that `/v1/page` would take, and goes the same way from there. The answer is always an
image, so that no page shows a broken one; what is wrong stands in its status and in a header.
"""

import base64
import re
from typing import Any
from urllib.parse import unquote_to_bytes

import msgspec

from firsthand.collect.faults import Fault
from firsthand.collect.parse import EVENT_BYTES, MAX_DEPTH, check_depth, too_deep

GIF = base64.b64decode("R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAICRAEAOw==")
HEADERS = [
    (b"content-type", b"image/gif"),
    (b"cache-control", b"no-store"),
    (b"cross-origin-resource-policy", b"cross-origin"),
]
IDS = ("messageId", "anonymousId", "userId", "previousId", "groupId")
TEXTS = frozenset({"writeKey", "event", "name", "category", "timestamp", *IDS})
OBJECTS = ("properties", "context", "traits")
MAX_NUMBER_DIGITS = 15  # all of which a float keeps
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?")
_ID = re.compile(r"(?:id|sku|.*_id|.*Id)")
_ORIGIN = re.compile(rb"https?://[^/?#\s]+", re.IGNORECASE)


def read(query: bytes) -> bytes:
    """The event in a query string, as JSON. Names that mean nothing here, such as a cache buster's, are passed over."""
    if len(query) > EVENT_BYTES:
        raise Fault(413, "event_too_large", f"a query may have {EVENT_BYTES} bytes, this one has {len(query)}")
    event: dict[str, Any] = {}
    for pair in query.split(b"&"):
        encoded_name, _, encoded_value = pair.partition(b"=")
        name, value = _text(encoded_name), _text(encoded_value)
        root, dot, _ = name.partition(".")
        if root in OBJECTS:
            steps = name.split(".")
            _put(event, steps, _value(steps, value))
        elif dot:
            raise Fault(400, "field_invalid", f"only {', '.join(OBJECTS)} have fields of their own", _path(name))
        elif name in TEXTS:
            _put(event, [name], value)
    return msgspec.json.encode(event)


def _text(encoded: bytes) -> str:
    try:
        return unquote_to_bytes(encoded.replace(b"+", b" ")).decode()
    except UnicodeDecodeError:
        raise Fault(400, "malformed_query", "the query is not percent-encoded UTF-8") from None


def _value(steps: list[str], text: str) -> Any:
    """What a text under `properties`, `context` or `traits` stands for; a text that is nothing else stays one."""
    if text in ("true", "false"):
        return text == "true"
    if text.startswith(("[", "{")):
        check_depth(text.encode(), _path(".".join(steps)))
        try:
            return msgspec.json.decode(text)
        except (msgspec.DecodeError, RecursionError):
            return text
    if steps[0] == "properties" and not _ID.fullmatch(steps[-1]) and _NUMBER.fullmatch(text):
        digits = len(text) - text.count("-") - text.count(".")
        if digits <= MAX_NUMBER_DIGITS:
            return float(text) if "." in text else int(text)
    return text


def _put(event: dict[str, Any], steps: list[str], value: Any) -> None:
    path = _path(".".join(steps))
    if len(steps) > MAX_DEPTH:
        raise too_deep(path)
    if "" in steps:
        raise Fault(400, "field_invalid", "there is nothing between two dots, or after the last", path)
    place: Any = event
    for step in steps[:-1]:
        place = place.setdefault(step, {})
        if not isinstance(place, dict):
            raise Fault(400, "field_invalid", "a part of the name stands for a value elsewhere in the query", path)
    if steps[-1] in place:
        raise Fault(400, "field_invalid", "the name stands twice in the query", path)
    place[steps[-1]] = value


def _path(name: str) -> str:
    return f"$.{name[:80]}"


def with_origin(headers: dict[bytes, bytes]) -> dict[bytes, bytes]:
    """The headers with an origin: where the browser names none, that of the page in the Referer, if there is one."""
    page = _ORIGIN.match(headers.get(b"referer", b""))
    return headers if page is None or b"origin" in headers else {**headers, b"origin": page[0].lower()}


def error_header(fault: Fault) -> tuple[bytes, bytes]:
    where = f" (at {fault.path})" if fault.path not in (None, "$") else ""
    text = re.sub(r"[^ -~]", "?", f"{fault.code}: {fault.message}{where}")
    return b"x-firsthand-error", text[:500].encode()
