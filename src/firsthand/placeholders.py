"""Ids that name nobody: what programs write where a visitor, an order or a vendor's id is not known.

Two guests with the user id `0` are two people. Taken for one, the second one's orders would go out with the first
one's address and consent. So such an id is dropped wherever ids are read; the event stays.
"""

import re
from hashlib import blake2b
from typing import Any

from firsthand.event import Event, decoder

WORDS = (
    "0", "-1", "null", "undefined", "none", "nan", "nil", "false", "true", "[object Object]", "{}", "[]", "anonymous",
    "guest", "unknown", "n/a", "not set", "00000000-0000-0000-0000-000000000000",
)  # fmt: skip
"""No id is one of these, in any case, also in brackets: Google Analytics writes `(not set)`, .NET `(null)`."""
BLANK = "(blank)"
"""How an id is counted that is nothing but blanks and signs, such as quotes around nothing, or the `-` of a server's
log."""
TEMPLATE = "(template)"
"""How an id is counted that a template should have filled in, such as `{{user_id}}`."""
UNREADABLE = "(unreadable)"
"""How an id is counted of which a character was lost: what is left may be another's."""
_WORDS = {word.casefold(): word for word in WORDS} | {"0" * 32: WORDS[-1]}
_LONGEST = 100
_INVISIBLE = "\0\xad\u061c\u180e\u200b\u200c\u200d\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2060\ufeff"
_QUOTES = (
    *(('"', '"'), ("'", "'"), ("%22", "%22"), ("%27", "%27"), ("`", "`"), ("\u201c", "\u201d"), ("\u201e", "\u201c")),
    *(("\u2018", "\u2019"), ("\u201a", "\u2018"), ("\xab", "\xbb"), ("\xbb", "\xab")),
)
_BRACKETS = {"(": ")", "<": ">", "[": "]", "{": "}"}
_SIGNS = re.compile(r"[!-/:-@\[-`{-~\s\u2010-\u2027]*")
_NUMBER = re.compile(r"(0|-1)[.,]0+")
_TEMPLATE = re.compile(r"\{\{.+\}\}|\{%.+%\}|[$#]\{.+\}|\[\[.+\]\]|<%.+%>|%%.+%%|<\?.+\?>", re.DOTALL)
_IDS = ("anonymous_id", "user_id", "previous_id", "group_id")


def id_text(value: Any) -> str:
    """An id as clients send it, as text: without blanks at the ends, and without one pair of quotes or of `%22` around
    it. What is neither text nor a number is written as JavaScript does, and so is no id."""
    if isinstance(value, str):
        return _bare(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, dict):
        return "[object Object]" if value else "{}"
    if isinstance(value, list):
        return "[]"
    return "" if value is None else str(value)


def _bare(text: str) -> str:
    if text[:1].isalnum() and text[-1:].isalnum():
        return text  # there is nothing around it
    text = trimmed(text)
    for opening, closing in _QUOTES:
        if text.startswith(opening) and text.endswith(closing) and len(text) >= len(opening) + len(closing):
            return trimmed(text[len(opening) : -len(closing)])
    return text


def trimmed(text: str) -> str:
    """Without blanks at the ends, nor marks that have no width, as come along when a text is pasted."""
    if text[:1].isalnum() and text[-1:].isalnum():
        return text  # as nearly all are
    before = None
    while text != before:
        before, text = text, text.strip().strip(_INVISIBLE)
    return text


def placeholder(text: str) -> str | None:
    """Which placeholder an id is, once `id_text` has read it, or None where it may be somebody's."""
    if text.isalnum():
        return _WORDS.get(text.casefold()) if len(text) <= _LONGEST else None
    if "\ufffd" in text:
        return UNREADABLE
    if len(text) > _LONGEST:
        return None
    if (word := _WORDS.get(text.casefold())) is not None:
        return word
    if text[:1] in ("0", "-") and (number := _NUMBER.fullmatch(text)):
        return number[1]
    if text[:1].isalnum():
        return None  # all others begin with a mark
    if _SIGNS.fullmatch(text):
        return BLANK
    if _TEMPLATE.fullmatch(text):
        return TEMPLATE
    return _WORDS.get(text[1:-1].strip().casefold()) if _BRACKETS.get(text[0]) == text[-1] else None


def clean_id(value: Any) -> str | None:
    """The id in what a client sent for one; None where it names nobody."""
    text = id_text(value)
    return None if placeholder(text) else text


def clean_ids(event: Event, traits: frozenset[str] = frozenset()) -> list[str]:
    """Clean an event's ids and take those out that name nobody, also of the vendors' ids: those in `context.ids` and,
    of an `identify` call, the named traits. Returns what was taken out, as in `WORDS`."""
    found = _drop(event)
    for name in _IDS:
        given = getattr(event, name)
        if given is not None:
            setattr(event, name, _bare(given))
    if isinstance(ids := event.context.get("ids"), dict):
        event.context["ids"] = {name: id_text(value) for name, value in ids.items()}
    if traits and event.type == "identify":
        named = {name: value for name, value in event.traits.items() if name.partition("@")[0] in traits}
        kept, words = _somebodys(named)
        others = {name: value for name, value in event.traits.items() if name not in named}
        event.traits = {**others, **{name: id_text(value) for name, value in kept.items()}}
        found += words
    return found


def _drop(event: Event) -> list[str]:
    """Take the ids out that name nobody, and leave the others as they are."""
    found: list[str] = []
    for name in _IDS:
        given = getattr(event, name)
        if given is not None and (word := placeholder(_bare(given))) is not None:
            found.append(word)
            setattr(event, name, None)
    if isinstance(ids := event.context.get("ids"), dict):
        event.context["ids"], words = _somebodys(ids)
        found += words
    return found


def _somebodys(values: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """Those of some ids that may be somebody's, and the placeholders among the others."""
    given = {name: value for name, value in values.items() if value is not None and value != ""}
    words = {name: word for name, value in given.items() if (word := placeholder(id_text(value))) is not None}
    return {name: value for name, value in given.items() if name not in words}, list(words.values())


def own_id(message_id: str) -> str:
    """The id of an event that names nobody: its own, the same whenever it is made."""
    return f"event-{blake2b(message_id.encode('utf-8', 'surrogatepass'), digest_size=16).hexdigest()}"


def read_event(body: bytes) -> Event:
    """An event of the log or the ledger, without ids that name nobody, which older ones may have. Other ids stay as
    they are kept: an erasure must find them there.

    Raises msgspec.DecodeError or UnicodeDecodeError where the bytes are no event.
    """
    event = decoder.decode(body)
    if _drop(event):
        name_itself(event)
    return event


def name_itself(event: Event) -> None:
    """Give an event that names nobody an id of its own, by which it is linked with no other."""
    if not event.anonymous_id and not event.user_id:
        event.anonymous_id = own_id(event.message_id)
