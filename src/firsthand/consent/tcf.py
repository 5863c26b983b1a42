"""Reads IAB Europe's TC string: what a visitor allowed which vendor, and for which purposes.

Written from the IAB Tech Lab's "Consent string and vendor list formats", v2 (TCF 2.0 to 2.3). Only the
core segment is read: the others (vendors disclosed, the publisher's own purposes) say nothing of a vendor's consent.
"""

from collections.abc import Iterable, Mapping
from functools import lru_cache

import msgspec

from .bits import Bits

MAX_LENGTH = 10_000
"""Characters of the longest string read. Real ones have some hundred, two or three thousand with many restrictions."""

MAX_VENDOR_ID = 4095
"""Vendors above it are never granted: the Global Vendor List, begun in 2018, is far from it, and without a bound
a short hostile string ("vendors 1 to 65535", for every purpose) decodes to hundreds of kilobytes."""

_NOT_ALLOWED, _REQUIRE_LEGITIMATE_INTEREST = 0, 2  # the restriction types under which consent does not count


class TCString(msgspec.Struct, frozen=True):
    """The core segment of a TC string. Sets of vendors are integers: bit n is vendor n.

    `consent_barred` holds, by purpose consented to, the vendors for which the publisher keeps consent from counting.
    """

    version: int
    policy_version: int
    purposes: frozenset[int]
    purposes_legitimate_interest: frozenset[int]
    vendors: int
    vendors_legitimate_interest: int
    consent_barred: Mapping[int, int]

    def has_vendor(self, vendor_id: int) -> bool:
        """Whether the visitor consented to this vendor."""
        return bool(self.vendors >> vendor_id & 1)

    def missing_purposes(self, vendor_id: int | None, purposes: Iterable[int]) -> list[int]:
        """Those of `purposes` that this vendor may not rely on consent for: refused, or barred by the publisher."""
        return [
            purpose
            for purpose in purposes
            if purpose not in self.purposes
            or (vendor_id is not None and self.consent_barred.get(purpose, 0) >> vendor_id & 1)
        ]

    def grants(self, vendor_id: int, purposes: Iterable[int]) -> bool:
        """Whether the visitor consented to this vendor and to each of these purposes."""
        return self.has_vendor(vendor_id) and not self.missing_purposes(vendor_id, purposes)


def decode(text: str) -> TCString:
    """The content of a TC string; cached, as a visitor's events all carry the same one.

    Raises ValueError for anything that is no whole TC string of version 2.
    """
    if len(text) > MAX_LENGTH:
        raise ValueError(f"it has {len(text)} characters, more than {MAX_LENGTH}")
    return _decode_core(text.partition(".")[0])


@lru_cache(maxsize=10_000)
def _decode_core(core: str) -> TCString:
    bits = Bits(core)
    version = bits.number(6)
    if version != 2:
        raise ValueError(f"it is of version {version}, and only 2 is in use")
    bits.take(36 + 36 + 12 + 12 + 6 + 12 + 12)  # created, updated, CMP, its version, screen, language, list version
    policy_version = bits.number(6)
    bits.take(1 + 1 + 12)  # service specific, non-standard stacks, special features
    purposes, purposes_li = _purposes(bits), _purposes(bits)
    bits.take(1 + 12)  # purpose one treatment, publisher's country
    vendors, vendors_li = _vendors(bits), _vendors(bits)
    return TCString(2, policy_version, purposes, purposes_li, vendors, vendors_li, _consent_barred(bits, purposes))


def _purposes(bits: Bits) -> frozenset[int]:
    return _set_of(bits.take(24))


@lru_cache(maxsize=4096)  # few answers are ever given, so the decoded strings share these sets
def _set_of(bits: str) -> frozenset[int]:
    return frozenset(number for number, bit in enumerate(bits, 1) if bit == "1")


def _vendors(bits: Bits) -> int:
    """A vendor section: one bit a vendor, or ranges."""
    last = bits.number(16)
    if not bits.number(1):
        return int("0" + bits.take(last)[:MAX_VENDOR_ID][::-1], 2) << 1
    return _ranges(bits)


def _ranges(bits: Bits) -> int:
    vendors = 0
    for _ in range(bits.number(12)):
        is_range, first = bits.number(1), bits.number(16)
        last = bits.number(16) if is_range else first
        if not 0 < first <= last:
            raise ValueError(f"it lists the vendors {first} to {last}")
        vendors |= _span(first, last)
    return vendors


def _span(first: int, last: int) -> int:
    last = min(last, MAX_VENDOR_ID)
    return (1 << last + 1) - (1 << first) if first <= last else 0


def _consent_barred(bits: Bits, purposes: frozenset[int]) -> dict[int, int]:
    """By purpose, the vendors whose consent does not count by the publisher's restrictions.

    That is "not allowed", and "require legitimate interest": by the specification a vendor that works on consent
    "should not process" under the latter. "Require consent" asks for what is asked here in any case.
    """
    barred: dict[int, int] = {}
    for _ in range(bits.number(12)):
        purpose, restriction, vendors = bits.number(6), bits.number(2), _ranges(bits)
        if purpose in purposes and restriction in (_NOT_ALLOWED, _REQUIRE_LEGITIMATE_INTEREST):
            barred[purpose] = barred.get(purpose, 0) | vendors
    return barred
