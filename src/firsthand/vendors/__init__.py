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
    """All installed vendors by key. One that can't be loaded is no trouble of the others: it is logged and left out."""
    found: dict[str, AnyVendor] = {}
    for key in sorted({entry.name for entry in entry_points(group=GROUP)}):
        try:
            found[key] = get(key)
        except VendorError as error:
            import structlog  # here, as commands that only read never come by, and it takes long to load

            structlog.get_logger().error("a vendor is left out", vendor=key, cause=str(error))
    return MappingProxyType(found)


@cache
def get(key: str) -> AnyVendor:
    """One installed vendor; the others are not loaded. Raises `VendorError`."""
    installed = entry_points(group=GROUP)
    entries = [entry for entry in installed if entry.name == key]
    if not entries:
        names = ", ".join(sorted({entry.name for entry in installed}))
        raise VendorError(f"there is no vendor {key!r}; installed: {names or 'none'}")
    if len(entries) > 1:
        raise VendorError(f"two installed packages bring a vendor {key}; uninstall one ({_origin(entries[1])})")
    return _load(entries[0])


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
