"""E-mail addresses in text that is sent on: found or taken out, also where they are percent-encoded."""

import re

EMAIL = re.compile(r"[^\s@](?:@|%(?:25)*40)[^\s@]{1,255}\.[^\s@]")
USER_INFO = re.compile(r"(?<=://)[^/?#\s]*@")
# A delimiter, or what stands between two. Any of it may be percent-encoded, once or several times over.
PIECE = re.compile(
    r"%(?:25)*(?:2[0236CF]|3[ABDF])|(?:[^\s%/?#&=:;,<>\"()]|%(?!(?:25)*(?:2[0236CF]|3[ABDF]))(?:25)*)+", re.I
)
AT = re.compile(r"[^@](?:@|%(?:25)*40)[^@]")


def has_email(text: str) -> bool:
    return ("@" in text or "%" in text) and EMAIL.search(text) is not None


def scrub(text: str) -> str:
    """The text without the addresses in it, nor the user and password of a URL."""
    if "@" not in text and "%" not in text:
        return text
    return PIECE.sub(lambda piece: "" if AT.search(piece[0]) else piece[0], USER_INFO.sub("", text))
