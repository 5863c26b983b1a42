"""Bytes from a client → events as clients send them, or a `Fault` that says what is wrong and where.

An item of a batch stands alone: it is decoded and refused by itself.
"""

import codecs
import contextlib
import json
import re
import zlib
from typing import Any, cast, get_args

import msgspec

from firsthand.collect.faults import Fault
from firsthand.consent.codes import said
from firsthand.event import EventType
from firsthand.personal import hint
from firsthand.placeholders import trimmed

REQUEST_BYTES = 500 << 10
EVENT_BYTES = 32 << 10
BATCH_EVENTS = 500
MAX_DEPTH = 64
MAX_ID_LENGTH = 512
ENCODINGS = frozenset({"br", "deflate", "zstd", "compress", "dcb", "dcz"})
"""Those that there are, and that are not read."""
PLAIN = frozenset({"", "identity", "none", "utf-8", "utf8", "binary", "7bit", "8bit"})
"""None at all, also in the words of programs that take the header for another."""
GZIP = frozenset({"gzip", "x-gzip"})
GZIP_MARK = b"\x1f\x8b"
TYPES: frozenset[str] = frozenset(get_args(EventType))

MessageId = str | int | None
Id = Any
"""As clients send one: text or a number, and now and then what their language has for nothing."""

Object = dict[str, Any] | list[Any] | str | None
"""An object as clients send it: where it is empty, PHP writes an empty array, and some write all of it as text."""
PARTS = ("page", "traits", "consent", "ids", "device", "os", "app", "library", "network", "screen", "location",
         "campaign", "referrer", "cmp", "consentManagement", "destinationPreferences")  # fmt: skip
"""The objects in a context."""


class Wire(msgspec.Struct, rename="camel"):
    """An event as clients send it: everything may be absent or null, ids may be numbers."""

    type: str | None = None
    message_id: MessageId = None
    event: str | None = None
    name: Any = None
    category: Any = None
    anonymous_id: Id = None
    user_id: Id = None
    previous_id: Id = None
    group_id: Id = None
    properties: Object = None
    traits: Object = None
    context: Object = None
    integrations: Object = None
    timestamp: Any = None
    original_timestamp: Any = None
    sent_at: Any = None
    write_key: str | None = None


class _Envelope(msgspec.Struct, rename="camel"):
    """A batch as clients send it."""

    batch: list[msgspec.Raw]
    sent_at: Any = None
    write_key: str | None = None
    context: Object = None
    integrations: Object = None


class Batch(msgspec.Struct):
    """The body of `/v1/batch`. `context` and `integrations` hold for every item that does not say otherwise."""

    batch: list[msgspec.Raw]
    sent_at: Any
    write_key: str | None
    context: dict[str, Any] | None
    integrations: dict[str, Any] | None


_wire = msgspec.json.Decoder(Wire)
_envelope = msgspec.json.Decoder(_Envelope)
_object = msgspec.json.Decoder(dict[str, Any] | list[Any])


def decompress(body: bytes, encoding: str) -> bytes:
    """The body as the client wrote it. Never makes more than REQUEST_BYTES of it.

    Whether it is packed the body itself tells, where proxies have unpacked it or dropped the header: no JSON begins as
    gzip does.
    """
    words = [word for part in encoding.split(",") if (word := part.strip()) not in PLAIN]
    if len(words) > 1 or not GZIP.issuperset(words):
        said = encoding if len(words) > 1 and GZIP.issuperset(words) else next(w for w in words if w not in GZIP)
        said = said if said in ENCODINGS else hint(said)
        raise Fault(415, "unsupported_encoding", f"Content-Encoding {said!r} is not supported: send gzip or none")
    if not body.startswith(GZIP_MARK) and (not words or body.lstrip()[:1] in (b"{", b"[")):
        return body
    plain = b""
    while body:  # there may be several one behind the other
        unzip = zlib.decompressobj(31)
        try:
            plain += unzip.decompress(body, REQUEST_BYTES + 1 - len(plain))
        except zlib.error:
            raise Fault(400, "malformed_gzip", "the body says it is gzip but cannot be unpacked") from None
        if len(plain) > REQUEST_BYTES:
            raise request_too_large()
        if not unzip.eof:
            raise Fault(400, "malformed_gzip", "the gzip body ends too early")
        body = unzip.unused_data if unzip.unused_data.startswith(GZIP_MARK) else b""
    if not plain:
        raise Fault(400, "malformed_gzip", "the gzip body is empty")
    return plain


def without_mark(body: bytes) -> bytes:
    """The body without the byte order mark that some programs write in front of UTF-8."""
    if body.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise Fault(400, "malformed_json", "the text is UTF-16, by its byte order mark: send UTF-8", "$")
    return body.removeprefix(codecs.BOM_UTF8)


def request_too_large() -> Fault:
    return Fault(413, "request_too_large", f"a request may have {REQUEST_BYTES} bytes: send smaller batches")


def parse_wire(raw: bytes | msgspec.Raw, path: str = "$", shared: int = 0) -> Wire:
    """One event from JSON. `path` is where it stands in the body; `shared` are the bytes that its batch adds to it."""
    size = shared + (len(raw) if isinstance(raw, bytes) else len(memoryview(raw)))
    if size > EVENT_BYTES:
        raise Fault(413, "event_too_large", f"an event may have {EVENT_BYTES} bytes, this one has {size}", path)
    data = bytes(raw)
    check_depth(data, path)
    return cast(Wire, _decode(_wire, data, path))


def check_depth(data: bytes, path: str) -> None:
    """Refuse JSON that nests too deep, before anything walks down into it."""
    if data.count(b"[") + data.count(b"{") > MAX_DEPTH and _depth(data) > MAX_DEPTH:
        raise too_deep(path)


def too_deep(path: str) -> Fault:
    return Fault(400, "too_deep", f"an event may nest {MAX_DEPTH} levels deep", path)


class _Shape(msgspec.Struct):
    batch: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


def is_batch(body: bytes) -> bool:
    """Whether this is `{"batch": …}` and not one event. Of what cannot be read, which of the two it looks like."""
    try:
        return msgspec.json.decode(body, type=_Shape).batch is not msgspec.UNSET
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return b'"batch"' in body


def parse_batch(body: bytes) -> Batch:
    """The envelope of a batch; its items are still raw."""
    try:
        batch = _read_batch(body)
    except Fault as fault:
        if fault.code == "field_invalid":
            raise
        batch = _parse_leniently(body, fault)
    if len(batch.batch) > BATCH_EVENTS:
        message = f"a batch may have {BATCH_EVENTS} events, this one has {len(batch.batch)}: send smaller batches"
        raise Fault(400, "batch_too_long", message, "$.batch")
    return batch


def _read_batch(body: bytes) -> Batch:
    read = cast(_Envelope, _decode(_envelope, body, "$"))
    context = None if read.context is None else read_context(read.context, "$.context")
    integrations = None if read.integrations is None else read_object(read.integrations, "$.integrations")
    return Batch(read.batch, read.sent_at, read.write_key, context, integrations)


def _parse_leniently(body: bytes, fault: Fault) -> Batch:
    """One broken item (a number that is none, nested too deep) must not cost the others: read around it."""
    try:
        loose = json.loads(_ESCAPES.sub(_character, _pruned(body)).decode("utf-8", "surrogateescape"))
        items = [msgspec.Raw(_as_it_was(item)) for item in loose["batch"]]
        envelope = _as_it_was({**loose, "batch": []})
    except (ValueError, TypeError, KeyError, RecursionError):
        raise fault from None
    # What holds for all of them must be sound.
    batch = _read_batch(envelope)
    batch.batch = items
    return batch


def _as_it_was(loose: Any) -> bytes:
    """Bytes that are no UTF-8 among them."""
    return json.dumps(loose, ensure_ascii=False).encode("utf-8", "surrogateescape")


def shared_bytes(batch: Batch) -> int:
    """How much a batch adds to each of its events. Raises Fault where that nests too deep."""
    size = 0
    for part in (batch.context, batch.integrations):
        if part:
            data = msgspec.json.encode(part)
            check_depth(data, "$")
            size += len(data)
    return size


def read_object(value: Object, path: str) -> dict[str, Any]:
    if isinstance(value, str):
        return read_object(_object_in(value, path), path)
    if isinstance(value, list):
        if value:
            raise Fault(400, "field_invalid", "Expected `object | null`, got `array`", path)
        return {}
    return value or {}


def _object_in(text: str, path: str) -> dict[str, Any] | list[Any] | None:
    """The object that a text holds as JSON; none where it is empty."""
    if not (text := trimmed(text)) or text == "null":
        return None
    if text[0] not in "{[":
        raise Fault(400, "field_invalid", "Expected `object | null`, got `str`", path)
    data = text.encode("utf-8", "surrogatepass")
    check_depth(data, path)
    return cast(dict[str, Any] | list[Any], _decode(_object, data, path))


def read_context(value: Object, path: str) -> dict[str, Any]:
    """Its parts may be empty arrays or texts too, and so may those of the consent. A consent that is but a no
    is one to advertising; a bare yes is none to anything, as nobody knows what was asked."""
    context = read_object(value, path)
    for name in PARTS:
        if name in context:
            context[name] = _part(context[name])
    consent = context.get("consent")
    if isinstance(consent, dict):
        context["consent"] = {name: _part(part) for name, part in consent.items()}
    elif said(consent) is False:
        context["consent"] = {"categories": {"marketing": False}}
    return context


def _part(value: Any) -> Any:
    """One that can't be read stays as it is: whoever wants it says so."""
    if isinstance(value, str) and value[:1] == "{":
        with contextlib.suppress(Fault):
            return read_object(value, "")
    return {} if value == [] else value


def _decode(decoder: msgspec.json.Decoder[Any], data: bytes, path: str) -> object:
    try:
        return decoder.decode(data)
    except msgspec.ValidationError as error:
        message, _, where = str(error).partition(" - at `$")
        raise Fault(400, "field_invalid", message, path + where.rstrip("`")) from None
    except UnicodeDecodeError:
        raise Fault(400, "malformed_json", "the text is not valid UTF-8", path) from None
    except msgspec.DecodeError as error:
        if (whole := _ESCAPES.sub(_character, data)) != data:
            return _decode(decoder, whole, path)
        raise Fault(400, "malformed_json", str(error), path) from None
    except RecursionError:
        raise too_deep(path) from None


# A text that was cut off in the middle of an emoji ends with half of a surrogate pair, which is no character.
_ESCAPES = re.compile(
    rb"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(u[dD][89a-fA-F][0-9a-fA-F]{2})|.)", re.DOTALL
)


def _character(escape: re.Match[bytes]) -> bytes:
    """What stands for a character that is none, else the escape as it is."""
    return rb"\ufffd" if escape[1] else escape[0]


# A string without its end counts as one up to the end of the text, and nothing is ever matched twice: the time
# it takes grows with the length alone, whatever a client sends.
_TOKEN = re.compile(rb'"(?:[^"\\]++|\\.)*+"?|[\[{]|[\]}]', re.DOTALL)


def _depth(data: bytes) -> int:
    """How deep the arrays and objects nest; strings are passed over."""
    depth = deepest = 0
    for token in _TOKEN.finditer(data):
        first = token[0][:1]
        if first in b"[{":
            depth += 1
            deepest = max(deepest, depth)
        elif first in b"]}":
            depth -= 1
    return deepest


def _pruned(data: bytes) -> bytes:
    """The text without what nests so deep that its item is refused anyway: deeper than any parser goes."""
    kept, depth, start = [], 0, 0
    deepest = MAX_DEPTH + 10
    for token in _TOKEN.finditer(data):
        first = token[0][:1]
        if first in b"[{":
            depth += 1
            if depth == deepest:
                kept.append(data[start : token.end()])
        elif first in b"]}":
            if depth == deepest:
                start = token.start()
            depth -= 1
    return b"".join([*kept, data[start:]]) if depth < deepest else data


def rejection(index: int, message_id: MessageId, fault: Fault) -> dict[str, object]:
    """One entry of a batch answer's `rejected`."""
    return {"index": index, "messageId": message_id, "code": fault.code, "path": fault.path, "message": fault.message}


class _Peek(msgspec.Struct, rename="camel"):
    message_id: str | None = None


def peek_message_id(raw: msgspec.Raw) -> str | None:
    """The message id of an item that could not be decoded, if it can be found all the same."""
    try:
        return msgspec.json.decode(raw, type=_Peek).message_id
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


class _Keyed(msgspec.Struct, rename="camel"):
    write_key: str | None = None


def peek_write_key(body: bytes) -> str | None:
    """The write key in a body that nobody asks anything else of, if there is one."""
    try:
        return msgspec.json.decode(body, type=_Keyed).write_key
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
