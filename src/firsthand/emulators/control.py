"""The switches and the ledger of the emulators, over HTTP under `/_control/{vendor}`.

| route | does |
|---|---|
| `GET ledger?since=0&limit=100` | counts, and the requests received: without `limit` all that are kept, with 0 none |
| `DELETE ledger` | empties it |
| `GET`, `PUT`, `DELETE faults` | one fault or a list of them, see `firsthand.emulators.faults` |
| `GET`, `PUT`, `DELETE settings` | the vendor's switches; what a PUT leaves out goes back to its default |
"""

from collections.abc import Iterator, Mapping
from urllib.parse import parse_qs

import msgspec

from firsthand.emulators.base import Emulator
from firsthand.emulators.exchange import Reply, Request, not_found
from firsthand.emulators.faults import FaultError

PREFIX = "/_control/"


class ControlError(ValueError):
    """A switch that can't be set so. The text says what is accepted."""


async def control(emulators: Mapping[str, Emulator], request: Request) -> Reply | Iterator[bytes]:
    """Answers a request to a control route; the ledger in pieces."""
    vendor, _, resource = request.whole_path.removeprefix(PREFIX).partition("/")
    emulator = emulators.get(vendor)
    if emulator is None:
        return not_found(f"there is no emulator {vendor!r}; there are {', '.join(emulators)}")
    methods = {"ledger": ("GET", "DELETE")}.get(resource, ("GET", "PUT", "DELETE"))
    if resource not in ("ledger", "faults", "settings"):
        return not_found(f"there is no {resource!r} here; there are ledger, faults, settings")
    if request.method not in methods:
        allow = ", ".join(methods)
        return _error(405, "method_not_allowed", f"{resource} takes {allow}", ((b"allow", allow.encode()),))
    try:
        if resource == "ledger":
            return _ledger(emulator, request)
        if resource == "faults":
            return await _faults(emulator, request)
        return await _settings(emulator, request)
    except (ControlError, FaultError) as error:
        return _error(400, "invalid", str(error))


def _ledger(emulator: Emulator, request: Request) -> Reply | Iterator[bytes]:
    if request.method == "DELETE":
        emulator.forget()
    query = parse_qs(request.query, keep_blank_values=True)
    if unknown := query.keys() - {"since", "limit"}:
        raise ControlError(f"unknown parameter {', '.join(sorted(unknown))}; accepted: since, limit")
    since, limit = _count(query, "since"), _count(query, "limit")
    return emulator.ledger.page(since or 0, limit)


def _count(query: dict[str, list[str]], name: str) -> int | None:
    if name not in query:
        return None
    text = query[name][-1]
    if not (text.isascii() and text.isdigit() and len(text) < 16):
        raise ControlError(f"{name} must be a whole number, 0 or more; it is {text!r}")
    return int(text)


async def _faults(emulator: Emulator, request: Request) -> Reply:
    if request.method == "PUT":
        emulator.faults.put(await _json(request))
    elif request.method == "DELETE":
        emulator.faults.clear()
    return _ok({"faults": emulator.faults.show()})


async def _settings(emulator: Emulator, request: Request) -> Reply:
    kind = emulator.settings_type
    if request.method == "PUT":
        try:
            emulator.settings = msgspec.convert(await _json(request), kind)
        except msgspec.ValidationError as error:
            raise ControlError(f"{error}; accepted: {_accepted(kind)}") from None
    elif request.method == "DELETE":
        emulator.settings = kind()
    return _ok(emulator.settings)


def _accepted(kind: type[msgspec.Struct]) -> str:
    """The settings with what each one takes, such as `region (as|eu|us), redirect (bool)`."""
    parts = []
    for field in msgspec.structs.fields(kind):
        info = msgspec.inspect.type_info(field.type)
        if isinstance(info, msgspec.inspect.LiteralType):
            takes = "|".join(str(value) for value in info.values)
        elif isinstance(info, msgspec.inspect.StructType):
            takes = _accepted(info.cls)
        else:
            takes = type(info).__name__.removesuffix("Type").removeprefix("VarTuple").lower() or "list"
        parts.append(f"{field.encode_name} ({takes})")
    return ", ".join(parts)


async def _json(request: Request) -> object:
    body, _ = await request.read()
    try:
        return msgspec.json.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise ControlError(f"the body is not JSON: {error}") from None


def _ok(data: object) -> Reply:
    return Reply(200, msgspec.json.encode(data))


def _error(status: int, code: str, message: str, headers: tuple[tuple[bytes, bytes], ...] = ()) -> Reply:
    body = msgspec.json.encode({"error": {"code": code, "message": message}})
    return Reply(status, body, ((b"content-type", b"application/json"), *headers))
