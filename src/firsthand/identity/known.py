"""What is known of an event's visitor, read from the profiles of its ids and of those linked with them.

The browser comes first: its anonymous id with those that it went by before. Then the user, then the user's other
browsers. Nothing is ever taken from another user of the same browser.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from firsthand.consent import GivenAnswer
from firsthand.identity.profile import Answer, Kind, Profile, Ref
from firsthand.vendors.base import Identity

CIRCLES = range(3)
MOST_BROWSERS = 16
"""How many linked ids are looked at for one event."""

Get = Callable[[Ref], Profile | None]
Refused = Callable[[dict[str, Any]], bool]


class Known:
    """Reads further profiles only where they are asked for; `get` is the hub's look-up within the event's source.

    It holds for a moment: what the hub learns after it was asked may show, or not.
    """

    __slots__ = ("_anonymous_id", "_answers_", "_browser_", "_circles_", "_get", "_user_id")

    def __init__(self, get: Get, anonymous_id: str | None, user_id: str | None) -> None:
        self._get = get
        self._anonymous_id = anonymous_id
        self._user_id = user_id
        self._browser_: list[Profile] | None = None
        self._circles_: list[list[Profile]] = []
        self._answers_: list[list[GivenAnswer]] | None = None

    @property
    def _browser(self) -> list[Profile]:
        """The event's anonymous id and those linked with it directly: the same browser under an older or a proposed
        id."""
        if self._browser_ is None:
            own = self._get(Ref("a", self._anonymous_id)) if self._anonymous_id else None
            self._browser_ = [] if own is None else [own]
            seen = {self._anonymous_id}
            for profile in self._browser_:
                former = [key[2:] for key in profile.links if key[0] == "a" and key[2:] not in seen]
                seen.update(former)
                found = (self._get(Ref("a", value)) for value in former[:MOST_BROWSERS])
                if former and len(self._browser_) < MOST_BROWSERS:
                    self._browser_ += [profile for profile in found if profile is not None]
        return self._browser_

    @property
    def user_id(self) -> str | None:
        """The event's own, else the newest that the browser was used with."""
        if self._user_id:
            return self._user_id
        users = [(at_ms, key) for profile in self._browser for key, at_ms in profile.links.items() if key[0] == "u"]
        return max(users)[1][2:] if users else None

    @property
    def _user(self) -> list[Profile]:
        """The user's profile, with those of the names the user had before."""
        user_id = self.user_id
        own = self._get(Ref("u", user_id)) if user_id is not None else None
        return [] if own is None else [own, *self._linked([own], "u", {own.ref.value if own.ref else ""})]

    def _circle(self, number: int) -> list[Profile]:
        """The browser, the user, the user's other browsers."""
        circles = self._circles_
        while len(circles) <= number:
            if not circles:
                circles.append(self._browser)
            elif len(circles) == 1:
                circles.append(self._user)
            else:
                mine = {profile.ref.value for profile in circles[0] if profile.ref is not None}
                circles.append(self._linked(circles[1], "a", mine))
        return circles[number]

    def _linked(self, profiles: list[Profile], kind: Kind, but: set[str]) -> list[Profile]:
        """What some profiles are linked with, the newest first."""
        links = [
            (at_ms, key[2:])
            for profile in profiles
            for key, at_ms in profile.links.items()
            if key[0] == kind and key[2:] not in but
        ]
        if not links:
            return []
        values = dict.fromkeys(value for _, value in sorted(links, reverse=True))
        found = (self._get(Ref(kind, value)) for value in list(values)[:MOST_BROWSERS])
        return [profile for profile in found if profile is not None]

    @property
    def _mine(self) -> set[str]:
        """The user's names: the one by now, and those before."""
        return {self.user_id or "", *(profile.ref.value for profile in self._circle(1) if profile.ref is not None)}

    def _alone(self, browser: Profile) -> bool:
        """Whether nobody but this user was seen in a browser."""
        mine = self._mine
        return all(key[0] != "u" or key[2:] in mine for key in browser.links)

    @property
    def answers(self) -> Sequence[Sequence[GivenAnswer]]:
        """What was answered on consent, and when it was last said: in the browser, by the user, in the user's other
        browsers."""
        if self._answers_ is None:
            self._answers_ = [
                [
                    GivenAnswer(one.consent, one.last_ms)
                    for profile in self._circle(number)
                    for one in self._own_answers(profile, number)
                ]
                for number in CIRCLES
            ]
        return self._answers_

    def _own_answers(self, profile: Profile, circle: int) -> list[Answer]:
        """Without those that another user of the browser gave. Who gave one without a name is not known: in the
        event's own browser it counts, in another one as long as nobody else was seen there."""
        if circle == 1 or not profile.answers or (circle == 0 and not self._user_id):
            return profile.answers
        mine = self._mine
        nameless = circle == 0 or self._alone(profile)
        return [one for one in profile.answers if (one.user in mine if one.user else nameless)]

    @property
    def email(self) -> str | None:
        """The newest address that this visitor gave, as given. One that came without a user's name may be a guest's: it
        counts where the user has none, and nobody else was seen in the browser."""
        browsers = [*self._circle(0), *self._circle(2)]
        mine = self._mine - {""}
        given = [profile.emails[name] for profile in browsers for name in mine if name in profile.emails]
        for profile in self._circle(1):
            given += profile.emails.values()
        if not given:
            given = [profile.emails[""] for profile in browsers if "" in profile.emails and self._alone(profile)]
        return max(given)[1] if given else None

    def vendor_id(self, name: str, now_ms: int, refused: Refused, max_age_ms: float | None = None) -> str | None:
        """The id of a name (`criteo_gum_id@123`) that may be used now.

        `refused` judges the visitor's answers: an id last seen before one that refused is not used, also where the
        visitor agreed again later. `max_age_ms` is how long an id holds after it was last seen. Where the visitor
        opted out of the vendor in this browser, no other browser's id takes its place.
        """
        for number in CIRCLES:
            found: list[tuple[int, str]] = []
            opted_out = False
            for profile in self._circle(number):
                known = profile.ids.get(name)
                if known is None or (number == 2 and not self._alone(profile)):
                    continue
                opted_out = opted_out or known.opted_out_ms > 0
                current = known.current(now_ms)
                if current is None:
                    continue
                value, seen = current
                if max_age_ms is not None and now_ms > seen.last_ms + max_age_ms:
                    continue
                # Seen again after a refusal, it was obtained anew. On the very event that refuses, it was not.
                if any(answer.last_ms >= seen.last_ms and refused(answer.consent) for answer in profile.answers):
                    continue
                found.append((seen.last_ms, value))
            if found:
                return max(found)[1]
            if opted_out:
                return None
        return None

    def opted_out(self, name: str, value: str, at_ms: int) -> bool:
        """Whether the visitor opted out, in this browser, of an id that an event of some time carries."""
        for profile in self._circle(0) or self._circle(1):
            known = profile.ids.get(name)
            if known is not None and known.gone(value, at_ms):
                return True
        return False

    def unknown_ms(self, names: Iterable[str]) -> int:
        """When the vendor of these ids was last asked for one in this browser and knew none; 0: never."""
        ids = (profile.ids.get(name) for profile in self._circle(0) for name in names)
        return max((known.unknown_ms for known in ids if known is not None), default=0)

    def opt_out_ms(self, names: Iterable[str]) -> int | None:
        """When the visitor told the vendor of these ids to know them no more, if that still stands: an id that was
        obtained since says otherwise. Asked of the event's browser; of an event that names none, of all that are the
        user's alone."""
        profiles = self._circle(0) or [*self._circle(1), *filter(self._alone, self._circle(2))]
        named = [[id for profile in profiles if (id := profile.ids.get(name)) is not None] for name in names]
        known = [id for ids in named for id in ids]
        opted_out_ms = max((id.opted_out_ms for id in known), default=0)
        if not opted_out_ms:
            return None
        for ids in named:
            # By name: who opted out of another caller has not opted out of ours.
            since_ms = max((id.opted_out_ms for id in ids), default=0)
            for id in ids:
                value, seen = id.current(0) or ("", None)
                newer = seen is not None and seen.obtained_ms > since_ms
                # With a caller or without: a value opted out of under one name is no new one under the other.
                if newer and not any(other.gone(value, other.opted_out_ms + 1) for other in known):
                    return None
        return opted_out_ms

    def identity(self, name: str, caller: str = "") -> Identity:
        """All of it for one vendor's id, whatever its age and whatever was answered since; for people to look at."""
        key = f"{name}@{caller}" if caller else name
        value = self.vendor_id(key, 0, lambda consent: False)
        return Identity({name: value} if value else {}, self.email, self.user_id)
