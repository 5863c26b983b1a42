"""Which of a visitor's answers on consent are kept: the newest, and of each kind of answer the newest one, so that a no
is not forgotten over many answers to something else."""

from collections.abc import Iterator, Sequence
from typing import Any, Protocol, TypeVar

from firsthand.consent.said import read
from firsthand.consent.tcf import decode

NEWEST = 16
MOST = 64
MOST_CATEGORIES = 16
ADVERTISING = (1, 2, 3, 4)


class Given(Protocol):
    consent: dict[str, Any]


T = TypeVar("T", bound=Given)


def kept(answers: Sequence[T]) -> list[T]:
    """Of answers from the oldest to the newest. What is not kept would not be kept beside more answers either, so the
    order in which they arrive does not matter."""
    if len(answers) <= NEWEST:
        return list(answers)
    found: list[T] = []
    known: set[str] = set()
    for number, answer in enumerate(reversed(answers)):
        kinds = set(_kinds(answer.consent))
        if number < NEWEST or (not kinds <= known and len(found) < MOST):
            found.append(answer)
        known |= kinds
    return found[::-1]


def _kinds(consent: dict[str, Any]) -> Iterator[str]:
    """What an answer says, without what makes it one of many that say the same."""
    said = read(consent)
    for name, granted in sorted(said.categories.items())[:MOST_CATEGORIES]:
        yield f"category {name} {granted}"
    for name, granted in sorted(said.destinations.items())[:MOST_CATEGORIES]:
        yield f"destination {name} {granted}"
    if said.gpc:
        yield "gpc"
    if said.us_privacy:
        yield f"us_privacy {said.us_privacy[:4]}"
    if said.opted_out:
        yield "gpp"
    if said.applies is False:
        yield "tcf does not apply"
    elif said.tc_string:
        try:
            string = decode(said.tc_string)
        except ValueError:
            return
        yield f"tcf {string.missing_purposes(None, ADVERTISING)} {string.vendors > 0}"
