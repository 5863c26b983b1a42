"""Vendors that are installed, our own and those of other packages."""

from collections.abc import Callable, Iterator
from importlib.metadata import EntryPoint

import pytest

from firsthand import vendors

Install = Callable[..., None]


@pytest.fixture
def install(monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """Replaces what is installed by these entry points (name, place)."""

    def replace(*entries: tuple[str, str]) -> None:
        found = [EntryPoint(name, place, vendors.GROUP) for name, place in entries]
        monkeypatch.setattr(vendors, "entry_points", lambda group: found)
        forget()

    yield replace
    forget()


def forget() -> None:
    vendors.registry.cache_clear()
    vendors.get.cache_clear()


def test_our_own_vendors_are_installed() -> None:
    assert vendors.get("criteo-s2s").name == vendors.registry()["criteo-s2s"].name
    assert vendors.registry() is vendors.registry(), "packages are searched once"


def test_an_unknown_vendor_is_answered_with_the_known_ones() -> None:
    with pytest.raises(vendors.VendorError, match=r"no vendor 'criteo-s3s'; installed: .*criteo-s2s"):
        vendors.get("criteo-s3s")


def test_a_broken_package_is_no_trouble_of_other_vendors(install: Install) -> None:
    install(("broken", "no_such_package:VENDOR"), ("raptor", "firsthand.vendors.raptor:VENDOR"))
    assert vendors.get("raptor").key == "raptor"
    assert list(vendors.registry()) == ["raptor"]


def test_a_package_that_cannot_be_loaded_is_named(install: Install) -> None:
    install(("broken", "no_such_package:VENDOR"))
    with pytest.raises(vendors.VendorError, match=r"'broken' \(no_such_package:VENDOR\) can't be loaded"):
        vendors.get("broken")


def test_an_entry_point_must_be_a_vendor(install: Install) -> None:
    install(("path", "pathlib:Path"))
    with pytest.raises(vendors.VendorError, match="is not a"):
        vendors.get("path")


def test_a_vendor_has_one_name(install: Install) -> None:
    install(("other", "firsthand.vendors.criteo_s2s:VENDOR"))
    with pytest.raises(vendors.VendorError, match="calls itself 'criteo-s2s'"):
        vendors.get("other")


def test_two_packages_cannot_bring_the_same_vendor(install: Install) -> None:
    install(*[("criteo-s2s", "firsthand.vendors.criteo_s2s:VENDOR")] * 2)
    with pytest.raises(vendors.VendorError, match="two installed packages"):
        vendors.get("criteo-s2s")
