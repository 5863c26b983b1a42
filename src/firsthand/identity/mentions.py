"""E-mail addresses within texts: whole ones only, since `ann@example.com` is none of `joann@example.com`.

How an address may be written there, `firsthand.personal` knows.
"""

import re
from collections.abc import Iterable

import msgspec

from firsthand.event import Event
from firsthand.personal import replace_emails
from firsthand.vendors.hashing import hash_email, normalise

REDACTED = "[erased]"
PAGE = ("url", "referrer", "search", "path")
_LITERAL = re.compile(rb'"(?:[^"\\]|\\.)*"')
_AROUND = "'`*!.[]{}|\\"
"""What may stand around an address in a text."""
_MARKS = (b"@", b"%", b"\\")
SHORTEST = 12
"""Bytes of a literal in which an address or its hash can be that has no mark in it: in base64 or hexadecimal."""


def forms(address: str) -> list[str]:
    """All that stands for an address in an event: itself, and what shops make of it before they send it."""
    hashes = hash_email(address, ("md5", "sha256", "sha256_md5")) if "@" in address else None
    return [address, *(hashes or {}).values()]


def compared_hash(text: str) -> str | None:
    """The hash of an address, as it is compared with others; None where a text is none."""
    digits = normalise(text)
    return digits if len(digits) in (32, 64) and "@" not in digits and hash_email(digits, ("md5", "sha256")) else None


def named_in_page(event: Event) -> set[str]:
    """The addresses in the URLs of an event's page, as they are compared."""
    found: set[str] = set()

    def note(written: str, address: str) -> str:
        found.add(_compared(address))
        return written

    for holder in (event.context.get("page"), event.properties):
        if isinstance(holder, dict):
            for name in PAGE:
                text = holder.get(name)
                if isinstance(text, str):
                    replace_emails(text, note)
    return found


def _compared(address: str) -> str:
    return normalise(address.strip(_AROUND))


class Redaction:
    """Takes some addresses, and hashes of them, out of texts."""

    def __init__(self, addresses: Iterable[str]) -> None:
        self._addresses = frozenset(addresses)

    def text(self, text: str) -> str:
        if normalise(text) in self._addresses:
            return REDACTED
        return replace_emails(text, self._redacted)

    def _redacted(self, written: str, address: str) -> str:
        return REDACTED if _compared(address) in self._addresses else written

    def body(self, body: bytes) -> bytes:
        """The same in the texts of a JSON document, which stays as it is otherwise; or in any other body."""
        if not self._addresses:
            return body
        if body[:1] in (b"{", b"["):
            return _LITERAL.sub(self._literal, body)
        text = body.decode("utf-8", "surrogateescape")
        return self.text(text).encode("utf-8", "surrogateescape")

    def _literal(self, literal: re.Match[bytes]) -> bytes:
        quoted = literal[0]
        if len(quoted) < SHORTEST and not any(mark in quoted for mark in _MARKS):
            return quoted
        try:
            text = msgspec.json.decode(quoted, type=str)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return quoted
        redacted = self.text(text)
        return quoted if redacted == text else msgspec.json.encode(redacted)
