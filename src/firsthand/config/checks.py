"""What must hold between the parts of a configuration, and between an integration and its vendor."""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from msgspec import UNSET

from firsthand.config.convert import convert
from firsthand.config.document import Document
from firsthand.config.faults import Path
from firsthand.config.values import FromEnvironment, did_you_mean, shown

if TYPE_CHECKING:
    from firsthand.vendors.base import AnyVendor

_ANY_EMULATOR = "http://127.0.0.1:9090"


def check_keys(document: Document) -> None:
    """No key and no write key stands twice, and integrations name sources that are there."""
    sources = list(_entries(document, "sources"))
    _check_unique(document, sources, "key", "two sources can't have the same key")
    _check_unique(document, sources, "write_key", "two sources can't have the same write key")
    _check_unique(document, sources, "signing_secret", "two sources can't have the same signing secret")
    integrations = list(_entries(document, "integrations"))
    _check_unique(document, integrations, "key", "two integrations can't have the same key")
    known = {key for _, source in sources if isinstance(key := source.get("key"), str)}
    for path, integration in integrations:
        named = integration.get("sources")
        for index, key in enumerate(named if isinstance(named, list) else []):
            if isinstance(key, str) and key not in known:
                place = (*path, "sources", index)
                choice = [key for key in known if not isinstance(key, FromEnvironment)]
                document.fault(place, f"there is no source {shown(key)}", did_you_mean(key, choice))


def _entries(document: Document, field: str) -> Iterator[tuple[Path, dict[str, Any]]]:
    """The entries of a list as they stand in the file: one that has a fault still counts for the others."""
    entries = document.tree.get(field) if isinstance(document.tree, dict) else None
    for index, entry in enumerate(entries if isinstance(entries, list) else []):
        if isinstance(entry, dict):
            yield (field, index), entry


def _check_unique(document: Document, entries: list[tuple[Path, dict[str, Any]]], field: str, message: str) -> None:
    first: dict[str, int] = {}
    for (name, index), entry in entries:
        value = entry.get(field)
        if isinstance(value, str) and first.setdefault(value, int(index)) != index:
            remedy = f"{name}[{first[value]}] has it already: choose another"
            document.fault((name, index, field), message, remedy)


def check_vendors(document: Document, vendors: Mapping[str, "AnyVendor"]) -> dict[int, Any]:
    """Settings by the integration's index, as the types of their vendors; what is not there has faults."""
    found: dict[int, Any] = {}
    for path, integration in _entries(document, "integrations"):
        key = integration.get("vendor")
        if not isinstance(key, str):
            continue
        if (vendor := vendors.get(key)) is None:
            document.fault((*path, "vendor"), f"there is no vendor {shown(key)}", did_you_mean(key, vendors))
            continue
        given = integration.get("settings")
        settings = convert(document, vendor.settings, {} if given is None else given, (*path, "settings"))
        _check_mapping(document, vendor, settings, integration, path)
        _check_wait(document, vendor, integration, path)
        if settings is not UNSET:
            _check_endpoints(document, vendor, settings, integration, path)
            found[int(path[1])] = settings
    return found


def _check_mapping(
    document: Document, vendor: "AnyVendor", settings: Any, integration: dict[str, Any], path: Path
) -> None:
    """An event can only be enabled where the vendor knows it: a misspelt one would never be sent."""
    mapping = integration.get("mapping")
    events = mapping.get("events") if isinstance(mapping, dict) else None
    own = {} if settings is UNSET else vendor.own_events(settings)
    for name, rule in (events if isinstance(events, dict) else {}).items():
        enabled = isinstance(rule, dict) and rule.get("enabled", True) is True
        if enabled and name not in vendor.events and name not in own:
            place = (*path, "mapping", "events", name)
            document.fault(place, f"{vendor.name} takes no such event", did_you_mean(name, {**vendor.events, **own}))


def _check_wait(document: Document, vendor: "AnyVendor", integration: dict[str, Any], path: Path) -> None:
    delivery = integration.get("delivery")
    if vendor.id_name is None and isinstance(delivery, dict) and delivery.get("wait_for_id"):
        message = f"{vendor.name} gives visitors no id that could be waited for"
        document.fault((*path, "delivery", "wait_for_id"), message, "remove it")


def _check_endpoints(
    document: Document, vendor: "AnyVendor", settings: Any, integration: dict[str, Any], path: Path
) -> None:
    published = vendor.endpoints(settings, None)
    accepted = published.keys() | vendor.endpoints(settings, _ANY_EMULATOR).keys()
    given = integration.get("endpoints")
    given = given if isinstance(given, dict) else {}
    for name in given:
        if name not in accepted:
            place = (*path, "endpoints", name)
            document.fault(place, f"{vendor.name} has no such endpoint", did_you_mean(name, accepted))
    if integration.get("environment") == "production":
        for name in sorted(accepted - published.keys() - given.keys()):
            place = (*path, "endpoints", name)
            document.fault(place, f"{vendor.name} publishes no address for it", "give the URL you got from the vendor")
