"""Behaves as Criteo's cookie sync (`gum.criteo.com/sync`), by which a browser learns the id that Criteo has for it.

    GET /sync?c=CALLER&a=1&r=0|1|2[&u=URL][&j=CALLBACK][&gdpr=1&gdpr_consent=TC_STRING]

By Criteo's guide "Server To Server - Website Events" (`c`, `a`, `r`, `u`, `j`) and its tag "User Identification" (the
object that the callback is given). The browser's cookie `uid` holds Criteo's own id for it; what is handed out is
that id salted for `c`, so that two callers get different ids and neither learns Criteo's own. Undocumented, and so
our choice: what answers without an id look like for `r=0` and `r=1`, the third status, and all texts of errors.
"""

import base64
import hmac
import ipaddress
import re
import uuid
from typing import Literal, NamedTuple
from urllib.parse import quote, unquote, urlsplit

import msgspec

from firsthand.consent import tcf
from firsthand.emulators.criteo_s2s_rules import Settings, show
from firsthand.emulators.exchange import JSON_TYPE, PLAIN_TYPE, Reply, Request

CRITEO_VENDOR_ID = 91
COOKIE, OPT_OUT_COOKIE = "uid", "optout"
COOKIE_SECONDS = 390 * 86_400
RETURN_HOSTS = ("shopname.com",)
"""Where `u` may lead besides loopback, subdomains included, for callers that no setting names."""

Status = Literal["OK", "OptOut", "Unknown"]
Consent = Literal["none", "not_applicable", "granted", "refused"]

_KNOWN = frozenset({"c", "a", "r", "u", "j", "gdpr", "gdpr_consent", "us_privacy"})  # the last: OneTag's own GUM call
_CALLER = re.compile(r"[0-9]{1,20}")
_CALLBACK = re.compile(r"[A-Za-z_$][A-Za-z0-9_$.]{0,63}")
_UNFIT = re.compile(r"[\x00-\x20\x7f\\]")
"""What no address holds; browsers take a backslash for a slash, and pass over line ends."""
_KEY = b"the emulator's, which guards nothing"


class Answered(NamedTuple):
    """A call as the ledger has it. `status` is None where it was refused, `user` where there is no id."""

    caller: str
    response: str
    status: Status | None
    id: str | None
    user: str | None
    consent: Consent
    errors: tuple[str, ...]
    warnings: tuple[str, ...]


class _Refused(ValueError):
    pass


def gum_id(caller: str, user: str) -> str:
    """Criteo's id for a browser (a UUID), salted for a caller. Always the same, also after a restart."""
    plain = uuid.UUID(user).bytes
    tag = _mac(caller, b"tag" + plain)[:8]
    return base64.urlsafe_b64encode(tag + _xor(plain, _mac(caller, b"pad" + tag))).decode()


def user_of(caller: str, id: str) -> str | None:
    """The browser that this caller was given an id for; None for ids made up, or of another caller."""
    if len(id) != 32:
        return None
    try:
        sealed = base64.b64decode(id, altchars=b"-_", validate=True)
    except ValueError:
        return None
    plain = _xor(sealed[8:], _mac(caller, b"pad" + sealed[:8]))
    genuine = len(plain) == 16 and hmac.compare_digest(sealed[:8], _mac(caller, b"tag" + plain)[:8])
    return str(uuid.UUID(bytes=plain)) if genuine else None


def _mac(caller: str, data: bytes) -> bytes:
    return hmac.digest(_KEY + caller.encode("utf-8", "replace"), data, "sha256")


def _xor(one: bytes, other: bytes) -> bytes:
    return bytes(a ^ b for a, b in zip(one, other, strict=False))


def sync(request: Request, settings: Settings) -> tuple[Reply, Answered]:
    """Answers a call, and says what for the ledger."""
    parameters = _parameters(request.query)
    warnings = [f"UnknownField: the parameter {name} is not in the guide" for name in parameters if name not in _KNOWN]
    consent = _consent(parameters, settings, warnings)
    caller, response = parameters.get("c", ""), parameters.get("r", "")
    try:
        carrier = _check(request, parameters, settings)
    except _Refused as refused:
        code, _, message = str(refused).partition(": ")
        allow = ((b"allow", b"GET"),) if code == "MethodInvalid" else ()
        body = msgspec.json.encode({"error": {"code": code, "message": message}})
        reply = Reply(405 if allow else 400, body, (JSON_TYPE, *allow))
        return reply, Answered(caller, response, None, None, None, consent, (str(refused),), tuple(warnings))
    status, user, cookie = _identify(request, parameters, settings, consent)
    id = gum_id(caller, user) if user is not None else None
    reply = _reply(response, carrier, status, id, settings)
    headers = [*reply.headers, (b"cache-control", b"no-store"), *cookie]
    reply = Reply(reply.status, reply.body, tuple(headers))
    return reply, Answered(caller, response, status, id, user, consent, (), tuple(warnings))


def _parameters(query: str) -> dict[str, str]:
    """The first of each name. A `+` stays one: `u` may come as it is, and no other value has blanks."""
    found: dict[str, str] = {}
    for part in query.split("&"):
        name, _, value = part.partition("=")
        if name:
            found.setdefault(unquote(name), unquote(value))
    return found


def _check(request: Request, parameters: dict[str, str], settings: Settings) -> str:
    """What carries the answer: the callback of `r=2`, the address of `r=1`. Raises _Refused."""
    if request.method != "GET":
        raise _Refused(f"MethodInvalid: {request.method} is not GET")
    caller, response = parameters.get("c"), parameters.get("r")
    if caller is None or not _CALLER.fullmatch(caller):
        raise _Refused(f"CallerInvalid: c, the S2S id, must be digits; it is {show(caller)}")
    if response not in ("0", "1", "2"):
        raise _Refused(f"ResponseInvalid: r must be 0, 1 or 2; it is {show(response)}")
    if parameters.get("a") not in ("0", "1", None):
        raise _Refused(f"FlagInvalid: a must be 0 or 1; it is {show(parameters.get('a'))}")
    if response == "2":
        callback = parameters.get("j")
        if callback is None or not _CALLBACK.fullmatch(callback):
            raise _Refused(f"CallbackInvalid: j must be the name of a function; it is {show(callback)}")
        return callback
    return _return_address(parameters.get("u"), caller, request.scheme, settings) if response == "1" else ""


def _return_address(address: str | None, caller: str, scheme: str, settings: Settings) -> str:
    """`u`, which some callers write without a scheme (`//host/…`)."""
    if not address:
        raise _Refused("ReturnMissing: r=1 needs u, the address to come back to")
    if address.startswith("//"):
        address = f"{scheme}:{address}"
    try:
        parts = urlsplit(address)
        host, _ = parts.hostname, parts.port
    except ValueError:
        host = None
    if host is None or parts.scheme not in ("http", "https") or "@" in parts.netloc or _UNFIT.search(address):
        raise _Refused(f"ReturnInvalid: u must be an http or https address; it is {show(address)}")
    allowed = settings.sync.return_hosts.get(caller)
    if allowed is None and (_is_loopback(host) or any(host == one or host.endswith(f".{one}") for one in RETURN_HOSTS)):
        return address
    if allowed is None or host not in allowed:
        raise _Refused(f"ReturnRefused: {host} is not among the hosts of caller {caller}; Criteo must allow it first")
    return address


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or host.endswith(".localhost") or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _consent(parameters: dict[str, str], settings: Settings, warnings: list[str]) -> Consent:
    """`gdpr_consent` is read with `gdpr=1` alone (Criteo's guide). Without a string that grants, no id is given."""
    applies = parameters.get("gdpr")
    if applies not in (None, "0", "1"):
        warnings.append(f"ConsentIncomplete: gdpr must be 1 or 0; it is {show(applies)}")
    if applies != "1":
        return "not_applicable" if applies == "0" else "none"
    try:
        consent = tcf.decode(parameters.get("gdpr_consent", ""))
    except ValueError as error:
        warnings.append(f"ConsentIncomplete: gdpr=1, and gdpr_consent is not a TC string: {error}")
        return "refused"
    return "granted" if consent.grants(CRITEO_VENDOR_ID, settings.purposes) else "refused"


def _identify(
    request: Request, parameters: dict[str, str], settings: Settings, consent: Consent
) -> tuple[Status, str | None, list[tuple[bytes, bytes]]]:
    """Whose browser this is, as far as it may be said, and the cookie to set."""
    cookies = _cookies(request) if settings.sync.third_party_cookies else {}
    if cookies.get(OPT_OUT_COOKIE):
        return "OptOut", None, []
    if consent == "refused":
        return "Unknown", None, []
    user = _uuid(cookies.get(COOKIE, ""))
    if user is not None:
        return "OK", user, []
    # The cookie is third-party: without one that is kept, an id would be another at each call.
    if parameters.get("a") == "0" or not settings.sync.third_party_cookies:
        return "Unknown", None, []
    user = str(uuid.uuid4())
    path = request.whole_path.rpartition("/")[0] or "/"
    set_cookie = f"{COOKIE}={user}; Path={path}; Max-Age={COOKIE_SECONDS}; Secure; HttpOnly; SameSite=None"
    headers = [(b"set-cookie", set_cookie.encode("latin-1"))]
    # An old script of a partner notes that without `a` the first call sets the cookie, and the second gives the id.
    if parameters.get("a") == "1" and settings.sync.id_at_first_call:
        return "OK", user, headers
    return "Unknown", None, headers


def _cookies(request: Request) -> dict[str, str]:
    pairs = (part.strip().partition("=") for part in request.header(b"cookie").split(";"))
    return {name: value for name, _, value in pairs}


def _uuid(text: str) -> str | None:
    try:
        return str(uuid.UUID(text)) if len(text) == 36 else None
    except ValueError:
        return None


def _reply(response: str, carrier: str, status: Status, id: str | None, settings: Settings) -> Reply:
    if response == "0":
        return Reply(200, (id or "").encode(), (PLAIN_TYPE,))
    if response == "1":
        macro = "@USERID@" if id is None and settings.sync.without_id == "macro" else quote(id or "", safe="")
        location = quote(carrier.replace("@USERID@", macro), safe="!#$%&'()*+,/:;=?@[]~")
        return Reply(302, b"", ((b"location", location.encode()),))
    given = {"status": status} if id is None else {"status": status, "userid": id}
    headers = ((b"content-type", b"application/javascript; charset=utf-8"), (b"x-content-type-options", b"nosniff"))
    return Reply(200, f"{carrier}({msgspec.json.encode(given).decode()});".encode(), headers)
