"""What is known of one id of a visitor.

Everything here is merged so that the order in which events arrive does not matter: of a value the first and the last
time it was seen are kept, of several the one seen last counts. A late event can add to what is known, and never puts
back what a newer one has replaced.

Times are milliseconds since 1970, by the events' own `timestamp`.
"""

import hashlib
from collections.abc import Iterable
from typing import Any, Literal

import msgspec

from firsthand.identity.answers import kept
from firsthand.placeholders import placeholder
from firsthand.vendors.hashing import normalise

Kind = Literal["a", "u", "e"]
"""Anonymous id, user id, e-mail address."""

TOUCH_MS = 600_000
"""How much later something must be seen again for that to be news worth writing."""
SYNCED_MS = 3 * 86_400_000
"""How long an id holds that a sync brought."""
MOST_VALUES = 32
"""Of one vendor id, and of the addresses seen in a browser: older ones are forgotten."""
MOST_LINKS = 1_000
MOST_NAMES = 64


class Ref(msgspec.Struct, frozen=True, array_like=True, order=True):
    """An id within a source."""

    kind: Kind
    value: str

    @property
    def key(self) -> str:
        return f"{self.kind}:{self.value}"

    @classmethod
    def of(cls, key: str) -> "Ref":
        return cls(key[0], key[2:])  # type: ignore[arg-type]


class Seen(msgspec.Struct, array_like=True):
    """A value of a vendor id: when it was seen, and the answer on consent that held when it was obtained."""

    first_ms: int
    last_ms: int
    synced_ms: int = 0
    """When a sync last brought it, or 0."""
    consent: dict[str, Any] | None = None

    @property
    def obtained_ms(self) -> int:
        return max(self.first_ms, self.synced_ms)

    @property
    def expires_ms(self) -> int | None:
        return self.synced_ms + SYNCED_MS if self.synced_ms else None


class VendorId(msgspec.Struct, array_like=True):
    """All values that a vendor id had: its history. Those from before an opt-out, and those not seen again since the
    visitor refused to be recognised, are kept as digests only."""

    values: dict[str, Seen] = {}
    opted_out_ms: int = 0
    unknown_ms: int = 0
    """When the vendor was last asked and knew none."""
    refused_ms: int = 0

    def learn(self, value: str, at_ms: int, synced: bool, consent: dict[str, Any] | None) -> bool:
        """Whether that is news."""
        key = digest(value) if digest(value) in self.values else value
        seen, fresh = self.values.get(key), at_ms if synced else 0
        if seen is None:
            self.values[key] = Seen(at_ms, at_ms, fresh, consent)
        else:
            earlier, renewed = at_ms < seen.first_ms, fresh > seen.synced_ms
            later = _is_news(seen.last_ms, at_ms, (one.last_ms for one in self.values.values() if one is not seen))
            seen.last_ms = max(seen.last_ms, at_ms)
            if not (earlier or renewed):
                return self._restore(key, value) or later
            if renewed or not seen.synced_ms:
                seen.consent = consent
            seen.first_ms, seen.synced_ms = min(seen.first_ms, at_ms), max(seen.synced_ms, fresh)
        self._restore(key, value)
        self._keep()
        return True

    def _restore(self, key: str, value: str) -> bool:
        """A value of which a digest was kept, and that holds again, is kept as it is. Whether it is one."""
        if key == value or not self._alive(self.values[key]):
            return False
        self.values[value] = self.values.pop(key)
        return True

    def opt_out(self, at_ms: int) -> bool:
        """The visitor has told the vendor to know them no more. Whether that is news."""
        if at_ms <= self.opted_out_ms:
            return False
        self.opted_out_ms = at_ms
        self._keep()
        return True

    def refuse(self, at_ms: int) -> bool:
        """Whether a value goes because the visitor refused to be recognised."""
        before, self.refused_ms = set(self.values), at_ms
        self._keep()
        return before != self.values.keys()

    def unknown(self, at_ms: int) -> bool:
        """The vendor was asked and knew none. Whether that is news."""
        news = at_ms > self.unknown_ms
        self.unknown_ms = max(at_ms, self.unknown_ms)
        return news

    def _keep(self) -> None:
        for value, seen in list(self.values.items()):
            if not self._alive(seen) and not value.startswith(DIGEST):
                self.values[digest(value)] = self.values.pop(value)
        while len(self.values) > MOST_VALUES:
            del self.values[min(self.values, key=lambda value: (self.values[value].last_ms, value))]

    def _alive(self, seen: Seen) -> bool:
        return seen.obtained_ms > self.opted_out_ms and max(seen.last_ms, seen.synced_ms) > self.refused_ms

    def current(self, now_ms: int) -> tuple[str, Seen] | None:
        """The value that holds at a time, if one does."""
        held = [
            (seen.last_ms, value, seen)
            for value, seen in self.values.items()
            if self._alive(seen) and (seen.expires_ms is None or now_ms < seen.expires_ms)
        ]
        if not held:
            return None
        _, value, seen = max(held, key=lambda one: one[:2])
        return value, seen

    def seen(self, value: str) -> Seen | None:
        """When a value was seen, also one that the visitor opted out of."""
        return self.values.get(value) or self.values.get(digest(value))

    def gone(self, value: str, at_ms: int) -> bool:
        """Whether the visitor opted out of a value that an event of some time carries."""
        seen = self.values.get(digest(value))
        return at_ms <= self.opted_out_ms or (seen is not None and seen.obtained_ms <= self.opted_out_ms)


class Answer(msgspec.Struct, array_like=True):
    """What was answered on consent, with the first and the last time it was seen; in a browser also by which user, if
    the events said so."""

    consent: dict[str, Any]
    first_ms: int
    last_ms: int
    user: str = ""

    def rank(self) -> tuple[int, str, str]:
        """The highest is the newest; of two at the same moment always the same one."""
        return self.last_ms, repr(self.consent), self.user


class Profile(msgspec.Struct, omit_defaults=True):
    """One id. `erased_ms` is left of it after an erasure: whatever is older is not taken up again; nor is, from before
    `shared_ms`, what names it and nobody else: somebody who shared it with others was erased."""

    source: str = ""
    ref: Ref | None = None
    links: dict[str, int] = {}
    """Other ids of the same visitor (`u:42`), with the last time both were seen together."""
    ids: dict[str, VendorId] = {}
    """By name, `criteo_gum_id@123` where the id belongs to a caller."""
    answers: list[Answer] = []
    emails: dict[str, tuple[int, str]] = {}
    """By the user id it came with (or none): time and address."""
    erased_ms: int = 0
    shared_ms: int = 0
    refused_ms: int = 0
    """When the visitor last refused to be recognised: addresses last seen until then are not kept, and vendor ids as
    digests only."""

    @property
    def barrier_ms(self) -> int:
        """Of what is older not all is taken up."""
        return max(self.erased_ms, self.shared_ms)

    def link(self, key: str, at_ms: int) -> bool:
        """With the id of a key. Whether that is news."""
        before = self.links.get(key)
        self.links[key] = at_ms if before is None else max(before, at_ms)
        if before is not None:
            # Of several users of a browser the last one counts.
            others = (last_ms for other, last_ms in self.links.items() if key[0] == other[0] == "u" and other != key)
            return _is_news(before, at_ms, others)
        return True

    def unlink_oldest(self) -> Ref | None:
        """Where there are more links than are kept: the id it is linked with no more, a browser if there is one. The
        other side is to go too."""
        if len(self.links) <= MOST_LINKS:
            return None
        key = min(self.links, key=lambda key: (key[0] != "a", self.links[key], key))
        del self.links[key]
        return Ref.of(key)

    def unlink(self, other: Ref) -> bool:
        """Forget an id, and what came with it. Whether there was anything."""
        before = len(self.links), len(self.emails), len(self.answers)
        self.links.pop(other.key, None)
        if other.kind == "u":
            self.emails.pop(other.value, None)
            self.answers = [one for one in self.answers if one.user != other.value]
        elif other.kind == "e":
            self.emails = {user: given for user, given in self.emails.items() if normalise(given[1]) != other.value}
        return before != (len(self.links), len(self.emails), len(self.answers))

    def seen_ms(self) -> int:
        """When any of it was last seen."""
        ids = self.ids.values()
        return max(
            *(0, *self.links.values()),
            *(0, *(at_ms for at_ms, _ in self.emails.values())),
            *(0, *(one.last_ms for one in self.answers)),
            *(0, *(max(known.opted_out_ms, known.unknown_ms) for known in ids)),
            *(0, *(max(seen.last_ms, seen.synced_ms) for known in ids for seen in known.values.values())),
        )

    def forget(self, before_ms: int) -> bool:
        """Links, addresses and vendor ids not seen since a time; what was answered, and an opt-out, stays as long as
        anything does. Whether there was any."""
        old = [key for key, at_ms in self.links.items() if at_ms < before_ms]
        users = [user for user, (at_ms, _) in self.emails.items() if at_ms < before_ms]
        for key in old:
            del self.links[key]
        for user in users:
            del self.emails[user]
        found = bool(old or users)
        for known in self.ids.values():
            for value in [v for v, s in known.values.items() if max(s.last_ms, s.synced_ms) < before_ms]:
                del known.values[value]
                found = True
        return found

    def refuse(self, at_ms: int) -> bool:
        """The visitor refuses to be recognised. Whether something goes for that."""
        self.refused_ms = max(at_ms, self.refused_ms)
        users = [user for user, (seen_ms, _) in self.emails.items() if seen_ms <= self.refused_ms]
        for user in users:
            del self.emails[user]
        return bool(users) | any([known.refuse(self.refused_ms) for known in self.ids.values()])

    def forget_placeholders(self) -> None:
        """Links and ids that name nobody, from before they were known as such: what came with a user of that name came
        with none."""
        self.links = {key: at_ms for key, at_ms in self.links.items() if not placeholder(key[2:])}
        for known in self.ids.values():
            known.values = {value: seen for value, seen in known.values.items() if not placeholder(value)}
        for one in self.answers:
            if placeholder(one.user):
                one.user = ""
        for user in [user for user in self.emails if placeholder(user)]:
            given = self.emails.pop(user)
            self.emails[""] = max(given, self.emails.get("", given))

    def linked(self, kind: Kind) -> list[tuple[int, str]]:
        """Time and value of the linked ids of a kind, newest first."""
        found = [(at_ms, key[2:]) for key, at_ms in self.links.items() if key[0] == kind]
        return sorted(found, reverse=True)

    def answer(self, consent: dict[str, Any], at_ms: int, user: str = "") -> bool:
        """Whether that is news."""
        for known in self.answers:
            if known.consent == consent and known.user == user:
                others = (other.last_ms for other in self.answers if other is not known)
                news = at_ms < known.first_ms or _is_news(known.last_ms, at_ms, others)
                known.first_ms, known.last_ms = min(known.first_ms, at_ms), max(known.last_ms, at_ms)
                return news
        self.answers.append(Answer(consent, at_ms, at_ms, user))
        self.answers.sort(key=Answer.rank)
        self.answers = kept(self.answers)
        return True

    def email(self, address: str, at_ms: int, user_id: str) -> bool:
        """Whether that is news."""
        before = self.emails.get(user_id)
        if before is not None and before >= (at_ms, address):
            return False
        self.emails[user_id] = (at_ms, address)
        if before is None and len(self.emails) > MOST_VALUES:
            del self.emails[min(self.emails, key=lambda user: self.emails[user])]
        return before is None or before[1] != address or at_ms - before[0] >= TOUCH_MS

    def vendor_id(self, name: str) -> VendorId | None:
        """The id of a name to learn about; None where a visitor has more names than anyone needs."""
        if name not in self.ids:
            if len(self.ids) >= MOST_NAMES:
                return None
            self.ids[name] = VendorId(refused_ms=self.refused_ms)
        return self.ids[name]


def _is_news(before_ms: int, at_ms: int, others: Iterable[int]) -> bool:
    """Whether it is worth writing that something was seen again: after a while, or where it now comes after others that
    came after it, as an answer on consent that is given once more after another one."""
    return at_ms - before_ms >= TOUCH_MS or any(before_ms <= other <= at_ms for other in others)


DIGEST = "#"


def digest(value: str) -> str:
    """What is kept of a value that the visitor opted out of: enough to know it again."""
    return DIGEST + hashlib.blake2b(value.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
