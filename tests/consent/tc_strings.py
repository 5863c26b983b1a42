"""TC strings for tests, and the small encoder that they were made with.

GRANTS_CRITEO, the one that most tests want, grants vendor 91 (Criteo) and the purposes 1, 3 and 4:

    CQdWToAQdWToAAKACBENAwFgALAAAAAAAAAAAtgAAAAAAAAAAAAAAIAAAAA
"""

import base64
from collections.abc import Collection, Iterable

GRANTS_CRITEO = "CQdWToAQdWToAAKACBENAwFgALAAAAAAAAAAAtgAAAAAAAAAAAAAAIAAAAA"
GRANTS_CRITEO_RANGES = "CQdWToAQdWToAAKACBENAwFgALAAAAAAAAAAAtwAQAtgABAAAAA"  # the same, its vendors as ranges
GRANTS_CRITEO_V1 = "BQdWToAQdWToAAKACBENAw4AAAAFsAAAAAAAAAAAAAAB"  # version 1.1: vendor 91, its purposes 1, 2 and 3
REFUSES_VENDOR = "CQdWToAQdWToAAKACBENAwFgALAAAAAAAAAAAuAAAAAAAAAAAAAAAUAAAAA"  # purposes 1 3 4, vendors 90 and 92
REFUSES_PURPOSES = "CQdWToAQdWToAAKACBENAwFgAIAAAAAAAAAAAtgAAAAAAAAAAAAAAIAAAAA"  # purpose 1, vendor 91
GRANTS_NOTHING = "CO_7cUEO_7cUEAGABCENBICgAAAAAAAAAAYgAAAAAAAA.YAAAAAAAAAAA"  # the sample in Criteo's guide

Restriction = tuple[int, int, Collection[int]]
"""Purpose, restriction type (0 not allowed, 1 require consent, 2 require legitimate interest), vendors."""


def encode(
    purposes: Collection[int] = (),
    vendors: Collection[int] = (),
    *,
    ranges: bool = False,
    purposes_li: Collection[int] = (),
    vendors_li: Collection[int] = (),
    restrictions: Collection[Restriction] = (),
) -> str:
    """The core segment of a version 2 string, its vendors as a bit field or as ranges."""
    return _text(
        _head(),
        _number(5, 6),  # policy version
        _number(1, 1),  # service specific
        _number(0, 1),  # non-standard stacks
        _number(0, 12),  # special features
        _flags(purposes, 24),
        _flags(purposes_li, 24),
        _number(0, 1),  # purpose one treatment
        _number(0, 12),  # publisher's country
        _vendors(vendors, ranges),
        _vendors(vendors_li, ranges),
        _number(len(restrictions), 12),
        *(_number(purpose, 6) + _number(kind, 2) + _ranges(ids) for purpose, kind, ids in restrictions),
    )


def _head() -> str:
    decisecond = 17_672_256_000  # 2026-01-01
    fields = [(2, 6), (decisecond, 36), (decisecond, 36), (10, 12), (2, 12), (1, 6)]
    return "".join(_number(*field) for field in [*fields, (4, 6), (13, 6), (48, 12)])  # English, vendor list 48


def _number(value: int, bits: int) -> str:
    return f"{value:0{bits}b}"


def _flags(numbers: Iterable[int], bits: int) -> str:
    return "".join("1" if number in set(numbers) else "0" for number in range(1, bits + 1))


def _vendors(vendors: Collection[int], ranges: bool) -> str:
    last = max(vendors, default=0)
    return _number(last, 16) + ("1" + _ranges(vendors) if ranges else "0" + _flags(vendors, last))


def _ranges(vendors: Iterable[int]) -> str:
    spans: list[list[int]] = []
    for vendor in sorted(vendors):
        if spans and spans[-1][1] == vendor - 1:
            spans[-1][1] = vendor
        else:
            spans.append([vendor, vendor])
    entries = [
        "0" + _number(first, 16) if first == last else "1" + _number(first, 16) + _number(last, 16)
        for first, last in spans
    ]
    return _number(len(spans), 12) + "".join(entries)


def _text(*parts: str) -> str:
    bits = "".join(parts)
    bits += "0" * (-len(bits) % 8)
    return base64.urlsafe_b64encode(int(bits, 2).to_bytes(len(bits) // 8)).decode().rstrip("=")
