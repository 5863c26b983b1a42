"""E-mail addresses within texts: whole ones only, since `ann@example.com` is none of `joann@example.com`.

In a URL an address may be percent-encoded, once or several times over.
"""

import re
from collections.abc import Iterable, Iterator
from urllib.parse import unquote

import msgspec

from firsthand.event import Event
from firsthand.vendors.emails import AT, PIECE
from firsthand.vendors.hashing import hash_email, normalise

REDACTED = "[erased]"
PAGE = ("url", "referrer", "search", "path")
_LITERAL = re.compile(rb'"(?:[^"\\]|\\.)*"')
_AROUND = "'`*!.[]{}|\\"
"""What may stand around an address in a text."""
_MARKS = (b"@", b"%", b"\\")


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
    for holder in (event.context.get("page"), event.properties):
        if isinstance(holder, dict):
            for name in PAGE:
                text = holder.get(name)
                if isinstance(text, str) and ("@" in text or "%40" in text or "%25" in text):
                    found.update(address for _, address in _pieces(text))
    return found


def _pieces(text: str) -> Iterator[tuple[re.Match[str], str]]:
    for piece in PIECE.finditer(text):
        if AT.search(piece[0]):
            yield piece, _plain(piece[0])


def _plain(piece: str) -> str:
    for _ in range(4):
        if "%" not in piece:
            break
        piece = unquote(piece)
    return normalise(piece.strip(_AROUND))


class Redaction:
    """Takes some addresses, and hashes of them, out of texts."""

    def __init__(self, addresses: Iterable[str]) -> None:
        self._addresses = frozenset(addresses)

    def text(self, text: str) -> str:
        if normalise(text) in self._addresses:
            return REDACTED
        if "@" not in text and "%" not in text:
            return text
        theirs = [piece for piece, address in _pieces(text) if address in self._addresses]
        for piece in reversed(theirs):
            text = text[: piece.start()] + REDACTED + text[piece.end() :]
        return text

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
        if not any(mark in quoted for mark in _MARKS) and len(quoted) not in (34, 66):
            return quoted
        try:
            text = msgspec.json.decode(quoted, type=str)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return quoted
        redacted = self.text(text)
        return quoted if redacted == text else msgspec.json.encode(redacted)
