"""Reads the IAB's Global Privacy Platform string: what a visitor allowed by the laws of the European Union and the US.

Written from the IAB Tech Lab's "GPP String Specification", version 1, and its sections for the European Union (2), US
Privacy (6), the United States as a whole (7, versions 1 and 2) and its states (8 to 27). A string may hold sections of
laws that are not the visitor's; `gppSid` lists those that are.
"""

from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from typing import NamedTuple

from .bits import Bits

MAX_LENGTH = 20_000
EU, _US_PRIVACY, _US = 2, 6, 7
_MOST_SECTIONS = 100
_OPTED_OUT = _NO_CONSENT = 1
"""What a field of two bits says: 0 not applicable, 1 opted out (of a child: no consent), 2 not opted out."""


class Layout(NamedTuple):
    """Where a section says what, in bits from its beginning."""

    sale: int
    """Opt-out of sale; the opt-out of targeted advertising follows, in California that of sharing instead."""
    child: int
    """What is consented to for a known child, ..."""
    children: int
    """... and how many such fields there are."""
    opt_outs: int = 2


_SECTIONS: Mapping[int, tuple[str, Layout]] = {
    7: ("the United States", Layout(18, 56, 3, opt_outs=3)),  # of version 2; sale, sharing, targeted advertising
    8: ("California", Layout(12, 34, 2)),
    9: ("Virginia", Layout(12, 32, 1)),
    10: ("Colorado", Layout(12, 30, 1)),
    11: ("Utah", Layout(14, 34, 1)),
    12: ("Connecticut", Layout(12, 32, 3)),
    13: ("Florida", Layout(12, 32, 3)),
    14: ("Montana", Layout(12, 32, 3)),
    15: ("Oregon", Layout(12, 38, 3)),
    16: ("Texas", Layout(12, 32, 1)),
    17: ("Delaware", Layout(12, 34, 5)),
    18: ("Iowa", Layout(14, 34, 1)),
    19: ("Nebraska", Layout(12, 32, 1)),
    20: ("New Hampshire", Layout(12, 32, 3)),
    21: ("New Jersey", Layout(12, 36, 5)),
    22: ("Tennessee", Layout(12, 32, 1)),
    23: ("Minnesota", Layout(12, 32, 1)),
    24: ("Maryland", Layout(16, 20, 0)),
    25: ("Indiana", Layout(16, 20, 1)),
    26: ("Kentucky", Layout(16, 20, 1)),
    27: ("Rhode Island", Layout(16, 20, 1)),
}
_US_VERSION_1 = Layout(18, 48, 2, opt_outs=3)


class Gpp(NamedTuple):
    """What a string says; what it does not is empty. `opted_out` is where the visitor opted out of what advertising
    needs, in words for a person."""

    tc_string: str
    us_privacy: str
    opted_out: str


@lru_cache(maxsize=10_000)
def decode(string: str, applicable: frozenset[int] = frozenset()) -> Gpp:
    """The content of a string; of its sections those that apply, all where that is not said (by numbers above 0).

    Raises ValueError for what is no GPP string, and where a section that is said to apply is not known here.
    """
    if len(string) > MAX_LENGTH:
        raise ValueError(f"it has {len(string)} characters, more than {MAX_LENGTH}")
    header, *texts = string.split("~")
    numbers = list(_numbers(Bits(header)))
    if len(numbers) != len(texts):
        raise ValueError(f"its header lists {len(numbers)} sections, and it has {len(texts)}")
    sections = dict(zip(numbers, texts, strict=True))
    named = {number for number in applicable if number > 0}
    tc_string = us_privacy = ""
    opted_out: list[str] = []
    for number, text in sections.items():
        if named and number not in named:
            continue
        if number == EU:
            tc_string = text
        elif number == _US_PRIVACY:
            us_privacy = text
        elif number in _SECTIONS:
            opted_out += _opt_outs(number, text)
        elif named:
            raise ValueError(f"section {number} is not known here")
    return Gpp(tc_string, us_privacy, ", ".join(opted_out))


def _numbers(header: Bits) -> Iterator[int]:
    """The sections that a header lists, in their order."""
    if header.number(6) != 3:
        raise ValueError("it does not begin as a GPP string does")
    if (version := header.number(6)) != 1:
        raise ValueError(f"version {version} is not known here")
    last = 0
    for _ in range(header.number(12)):
        is_range = header.number(1)
        first = last + header.fibonacci()
        last = first + header.fibonacci() if is_range else first
        if last > _MOST_SECTIONS:
            raise ValueError(f"it lists a section {last}")
        yield from range(first, last + 1)


def _opt_outs(number: int, text: str) -> Iterable[str]:
    """Of what the visitor opted out by a section of the US, for a person."""
    name, layout = _SECTIONS[number]
    core, *more = text.split(".")
    bits = Bits(core)
    version = bits.number(6)
    if number == _US and version == 1:
        layout = _US_VERSION_1
    elif version not in ((1, 2) if number == _US else (1,)):
        raise ValueError(f"version {version} of section {number} is not known here")
    if _OPTED_OUT in _fields(core, layout.sale, layout.opt_outs):
        yield f"opted out in {name}"
    if _NO_CONSENT in _fields(core, layout.child, layout.children):
        yield f"a child without consent in {name}"
    if any(part.number(2) == 1 and part.number(1) for part in map(Bits, more)):
        yield f"Global Privacy Control in {name}"


def _fields(core: str, at: int, count: int) -> list[int]:
    bits = Bits(core)
    bits.take(at)
    return [bits.number(2) for _ in range(count)]
