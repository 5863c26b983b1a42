"""Configuration as canonical JSON: what a revision keeps."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from firsthand.config.model import Integration

if TYPE_CHECKING:
    from firsthand.vendors.base import AnyVendor


def canonical_json(value: Any) -> bytes:
    """Structs as JSON, the same bytes for the same value.

    Every field is written out, also where it has its default: a default that changes with a release must not
    change what an older snapshot means.
    """
    return msgspec.json.encode(_written_out(value), order="sorted")


def integration_snapshot(integration: Integration) -> bytes:
    """All of an integration, which a revision keeps for good."""
    return canonical_json(integration)


def integration_from_snapshot(snapshot: bytes | str, vendors: "Mapping[str, AnyVendor]") -> Integration:
    """The integration in a snapshot. Raises `LookupError` where its vendor is not installed, and
    `msgspec.ValidationError` where the vendor's settings have changed so that it doesn't fit any more."""
    integration = msgspec.json.decode(snapshot, type=Integration)
    settings = msgspec.convert(integration.settings, vendors[integration.vendor].settings)
    return msgspec.structs.replace(integration, settings=settings)


def _written_out(value: Any) -> Any:
    if isinstance(value, msgspec.Struct):
        fields = msgspec.structs.fields(value)
        return {field.encode_name: _written_out(getattr(value, field.name)) for field in fields}
    if isinstance(value, Mapping):
        return {key: _written_out(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_written_out(item) for item in value]
    return msgspec.to_builtins(value)
