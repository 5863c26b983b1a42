"""The vendors that are installed, from the entry point group `firsthand.vendors` of every Python package."""

from collections.abc import Mapping
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from types import MappingProxyType

from firsthand.vendors.base import AnyVendor, Vendor

GROUP = "firsthand.vendors"


class VendorError(Exception):
    """A vendor is not there, or the package that brings it is broken."""


@cache
def registry() -> Mapping[str, AnyVendor]:
    """All installed vendors by key. Raises `VendorError` where one of them can't be loaded."""
    found: dict[str, AnyVendor] = {}
    for entry in sorted(entry_points(group=GROUP), key=lambda entry: entry.name):
        vendor = _load(entry)
        if vendor.key in found:
            raise VendorError(f"two installed packages bring a vendor {vendor.key}; uninstall one ({_origin(entry)})")
        found[vendor.key] = vendor
    return MappingProxyType(found)


def get(key: str) -> AnyVendor:
    """One installed vendor. Raises `VendorError`."""
    try:
        return registry()[key]
    except KeyError:
        raise VendorError(f"there is no vendor {key!r}; installed: {', '.join(registry()) or 'none'}") from None


def _load(entry: EntryPoint) -> AnyVendor:
    try:
        vendor = entry.load()
    except Exception as error:
        raise VendorError(f"the vendor {_origin(entry)} can't be loaded: {type(error).__name__}: {error}") from error
    if not isinstance(vendor, Vendor):
        raise VendorError(f"the vendor {_origin(entry)} is not a firsthand.vendors.base.Vendor")
    if vendor.key != entry.name:
        raise VendorError(f"the vendor {_origin(entry)} calls itself {vendor.key!r}; its two names must be the same")
    return vendor


def _origin(entry: EntryPoint) -> str:
    package = f" of the package {entry.dist.name}" if entry.dist else ""
    return f"{entry.name!r} ({entry.value}{package})"
