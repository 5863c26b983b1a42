"""Reads what a consent tool wrote down (a cookie, or a value of the page's script) into its codes: granted or not.

Tools write what they like: JSON, an object of JavaScript without quotes, `code:1,code:0`, a list of what was granted,
each of them perhaps URL-encoded or in base64. Whatever comes is read as far as it makes sense, within bounds.
"""

import base64
import binascii
import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any
from urllib.parse import unquote

import msgspec

MAX_LENGTH = 8192
"""Characters of the longest value read: twice what browsers let a cookie hold."""
MOST_CODES = 200
LONGEST_CODE = 100

_GRANTED = frozenset(
    {
        *("true", "1", "accept", "accepted", "granted", "grant", "allow", "allowed", "yes", "y", "on", "enabled"),
        *("optin", "optedin", "consented", "given"),
    }
)
_REFUSED = frozenset(
    {
        *("false", "0", "deny", "denied", "refused", "reject", "rejected", "no", "n", "off", "disabled", "decline"),
        *(
            "declined",
            "withdrawn",
            "revoked",
            "objected",
            "optout",
            "optedout",
            "notgranted",
            "notallowed",
            "disallowed",
        ),
    }
)
"""In lower case, without blanks, hyphens and underscores."""
_BETWEEN_WORDS = str.maketrans("", "", " -_")
_INSIDE = (
    *("categories", "purposes", "consent", "consents", "groups", "services", "preferences"),
    *("level", "accepted"),  # of Cookie Consent and of many that are home-made
)
"""Under which keys of an object the codes may stand instead of at its top."""


class Codes(msgspec.Struct):
    """What a tool says of its codes, in lower case. `whole` says that it lists what is granted and nothing else,
    so that a code it does not list is refused; `gpc` that the browser sent Global Privacy Control."""

    granted: dict[str, bool] = {}
    whole: bool = False
    gpc: bool = False

    def add(self, code: object, granted: bool | None) -> None:
        if granted is None or not isinstance(code, str) or len(self.granted) >= MOST_CODES:
            return
        name = code.strip(" \t\"'").lower()
        if name and len(name) <= LONGEST_CODE:
            # Said twice: what was refused once is refused.
            self.granted[name] = granted and self.granted.get(name, True)


def read(value: Any) -> Codes | None:
    """The codes in a value, or None where there is nothing to read; not to be changed. Never raises."""
    try:
        if isinstance(value, str):
            return _read_text(value) if len(value) <= MAX_LENGTH else None
        return _read(value, 0)
    except (ValueError, RecursionError):
        return None


@lru_cache(maxsize=500)  # the events of a batch come with the same cookies
def _read_text(text: str) -> Codes | None:
    return _read(text, 0)


def _read(value: Any, depth: int) -> Codes | None:
    if isinstance(value, dict):
        return _from_object(value)
    if isinstance(value, list):
        return _listed([item for item in value[:MOST_CODES] if isinstance(item, str)])
    if not isinstance(value, str) or not value.strip() or len(value) > MAX_LENGTH or depth > 3:
        return None
    text = value.strip()
    if text[0] in '{["' and (parsed := _json(text)) is not None:
        return _read(parsed, depth + 1)
    if "%" in text:
        return _read(unquote(text), depth + 1)
    if (decoded := _base64(text)) is not None:
        return _read(decoded, depth + 1)
    return _from_text(text)


def _json(text: str) -> Any:
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return None


def _base64(text: str) -> str | None:
    """The JSON object in a base64 text."""
    if not text.startswith("ey"):
        return None
    try:
        raw = base64.b64decode(text.replace("-", "+").replace("_", "/") + "=" * (-len(text) % 4))
        return raw.decode() if raw[:1] == b"{" else None
    except (binascii.Error, UnicodeError, ValueError):
        return None


def _from_object(value: Mapping[Any, Any]) -> Codes | None:
    found = Codes({})
    for key in _INSIDE:
        inner = value.get(key)
        if isinstance(inner, dict):
            _collect(inner, found)
        elif isinstance(inner, list):
            found.whole = True
            for item in inner[:MOST_CODES]:
                found.add(item, True)
        elif isinstance(inner, str) and key == "groups":
            return _from_text(inner)
    _collect(value, found)
    return found if found.granted or found.whole else None


def _collect(value: Mapping[Any, Any], found: Codes) -> None:
    """The codes of an object: each with its answer, or in the lists `enabled`, `disabled` and `rejected`."""
    for key, granted in (("enabled", True), ("disabled", False), ("rejected", False)):
        listed = value.get(key)
        if isinstance(listed, list):
            for code in listed[:MOST_CODES]:
                found.add(code, granted)
    for code, answer in list(value.items())[:MOST_CODES]:
        if isinstance(answer, dict):
            if code == "consent":  # purposes by legal basis: {"consent": {"enabled": […]}}
                _collect(answer, found)
            else:
                found.add(code, said(answer.get("enabled", answer.get("consent"))))
        else:
            found.add(code, said(answer))


def _listed(codes: list[str]) -> Codes:
    found = Codes({}, whole=True)
    for code in codes:
        found.add(code, True)
    return found


_BETWEEN = re.compile(r"[,;|&{}\n]")


def _from_text(text: str) -> Codes | None:
    """Pairs (`a:1,b:0`, `a=true&b=false`, `{a:true,b:false}`) or a list of what is granted (`a,b`)."""
    if ":" in text or "=" in text:
        found = Codes({})
        for name, answer in pairs(text):
            found.add(name, said(answer))
        return found if found.granted else None
    listed = [part for part in re.split(r"[,;|\s]+", text.strip("{}[]"), maxsplit=MOST_CODES) if part][:MOST_CODES]
    return _listed(listed) if listed else None


def pairs(text: str) -> Iterator[tuple[str, str]]:
    """The names and values of `a:1,b:0`, whatever stands between them; no more than a bounded number."""
    for part in _BETWEEN.split(text, MOST_CODES)[:MOST_CODES]:
        name, sign, value = part.partition(":" if ":" in part and "=" not in part.partition(":")[0] else "=")
        if sign:
            yield name.strip(" \t\"'"), value.strip(" \t\"'")


def fields(text: str) -> dict[str, str]:
    """The fields of `a=1&b=x%2Cy`, the values as they stand."""
    found: dict[str, str] = {}
    for part in text.split("&")[:MOST_CODES]:
        name, equals, value = part.partition("=")
        if equals:
            found[name] = value
    return found


def said(answer: object) -> bool | None:
    """Yes or no in any of the ways that tools write it; None for anything else."""
    if isinstance(answer, bool):
        return answer
    if isinstance(answer, int | float) and answer in (0, 1):
        return answer == 1
    if isinstance(answer, str):
        word = answer.strip().lower()[:LONGEST_CODE].translate(_BETWEEN_WORDS)
        return True if word in _GRANTED else False if word in _REFUSED else None
    return None
