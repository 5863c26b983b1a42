"""Events whose visitor is not to be named: what they say without saying who it was."""

import hashlib
import re
from base64 import b64encode
from collections.abc import Iterable, Iterator
from typing import Any
from urllib.parse import unquote, urlsplit

from firsthand.event import Event
from firsthand.personal import scrub
from firsthand.vendors.hashing import normalise

NO_PERSON = frozenset({"first_name", "last_name", "firstname", "lastname", "name", "title", "gender", "language"})
SHORT = 4
"""A part that has so short an id within a longer word or number has it by chance."""
WORDS = re.compile(r"\s+")


class KnownIds:
    """Finds the ids of one visitor in texts: as they are, percent-encoded, hashed, or in base64."""

    def __init__(self, ids: Iterable[str]) -> None:
        forms = {form for id in ids if (plain := normalise(id)) for form in _forms(id, plain)}
        # The longest first: one that is part of another says less about what is to go.
        self._any = [re.escape(form) for form in sorted(forms, key=len, reverse=True) if len(form) >= SHORT]
        self._any += [rf"(?<![^\W_]){re.escape(form)}(?![^\W_])" for form in sorted(forms) if len(form) < SHORT]
        self._pattern = re.compile("|".join(self._any)) if self._any else None

    def within(self, text: str) -> bool:
        return self._pattern is not None and any(self._pattern.search(form) for form in _decoded(text))


def ids_of(event: Event) -> KnownIds:
    """All that an event says about who its visitor is."""
    found: list[Any] = [event.anonymous_id, event.user_id, event.previous_id, event.group_id]
    for path in (("context", "ids"), ("traits",), ("context", "traits"), ("context", "device")):
        holder = event.get(*path)
        if isinstance(holder, dict):
            found += [value for name, value in holder.items() if _tells(path[-1], name)]
    found += [event.properties.get(name) for name in ("email", "phone")]
    return KnownIds(str(id) for id in found if isinstance(id, str) or type(id) is int)


def anonymous_url(url: str | None, ids: KnownIds) -> str | None:
    """Without query, fragment and user, and without the parts of the path that hold an id of the visitor.

    Click ids and session ids are in what goes. None where the URL cannot be read.
    """
    try:
        scheme, place, path, _, _ = urlsplit(url or "")
    except ValueError:  # a host in brackets that is no address
        return None
    parts = [part.partition(";")[0] for part in path.split("/") if not ids.within(part)]
    rest = "".join(f"/{part}" for part in parts if part) + ("/" if path.endswith("/") else "")
    if ids.within(rest):  # one with a slash in it
        rest = ""
    return scrub(f"{scheme}://{place.rpartition('@')[2]}{rest}") if scheme and place else None


def anonymous_text(text: str | None, ids: KnownIds) -> str | None:
    """Without the words in which there is an id of the visitor; None where nothing is left."""
    if text is None or not ids.within(text):
        return text
    kept = " ".join(word for word in WORDS.split(text) if not ids.within(word))
    return None if not kept or ids.within(kept) else kept


def _tells(holder: str, name: str) -> bool:
    """Whether a field of this name tells people, or devices, apart."""
    if holder == "ids":
        return True
    if holder == "device":
        return name in ("id", "advertisingId", "token")
    plain = name.lower()
    return plain in ("email", "phone", "username") or plain.endswith(("id", "phone", "email"))


def _forms(id: str, plain: str) -> Iterator[str]:
    """What an id is written as, in lower case."""
    yield plain
    for text in {id, plain}:
        data = text.encode("utf-8", "surrogatepass")
        yield b64encode(data).decode().rstrip("=").lower()
        yield b64encode(data, b"-_").decode().rstrip("=").lower()
        digits = hashlib.md5(data, usedforsecurity=False).hexdigest()
        yield from (digits, data.hex(), hashlib.sha1(data, usedforsecurity=False).hexdigest())
        yield from (hashlib.sha256(form).hexdigest() for form in (data, digits.encode()))


def _decoded(text: str) -> Iterator[str]:
    """A text as it is, and with each layer of percent-encoding taken off."""
    for _ in range(5):
        yield normalise(text)
        if "%" not in text or (plain := unquote(text)) == text:
            return
        text = plain
