"""`firsthand.yaml`: sources, integrations and the gateway's own limits, checked as a whole before anything runs.

    config = load(Path("firsthand.yaml"))

Everything wrong with a file is reported at once (`ConfigError.faults`), each fault with its line, its path and
what to write instead. Values from the environment (`${NAME}`) and secrets never show in a fault.
"""

import os
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from firsthand.config.faults import ConfigError, Fault
from firsthand.config.file import ConfigFile
from firsthand.config.model import (
    Cmp,
    Config,
    Consent,
    Cookies,
    Delivery,
    EventMapping,
    EventRule,
    Integration,
    Ledger,
    Log,
    Process,
    Source,
)
from firsthand.config.snapshot import canonical_json, integration_from_snapshot, integration_snapshot
from firsthand.config.values import Duration, Secret, Size, duration, size

if TYPE_CHECKING:
    from firsthand.vendors.base import AnyVendor

__all__ = [
    "Cmp",
    "Config",
    "ConfigError",
    "ConfigFile",
    "Consent",
    "Cookies",
    "Delivery",
    "Duration",
    "EventMapping",
    "EventRule",
    "Fault",
    "Integration",
    "Ledger",
    "Log",
    "Process",
    "Secret",
    "Size",
    "Source",
    "canonical_json",
    "duration",
    "example",
    "integration_from_snapshot",
    "integration_snapshot",
    "load",
    "parse",
    "size",
]

Vendors = Mapping[str, "AnyVendor"]
PLACEHOLDER = "replace-this-write-key"


def load(path: Path, env: Mapping[str, str] = os.environ, vendors: Vendors | None = None) -> ConfigFile:
    """The configuration in a file. Raises `ConfigError`."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        fault = Fault(str(path), f"it can't be read: {error.strerror}", "name a file that is there and readable")
        raise ConfigError(str(path), [fault]) from None
    except UnicodeDecodeError as error:
        fault = Fault(str(path), f"byte {error.start + 1} is not UTF-8", "save the file as UTF-8")
        raise ConfigError(str(path), [fault]) from None
    return parse(text, env, vendors, name=path.name)


def parse(
    text: str, env: Mapping[str, str] = os.environ, vendors: Vendors | None = None, name: str = "firsthand.yaml"
) -> ConfigFile:
    """The configuration in a text. `vendors` are the installed ones where none are given. Raises `ConfigError`."""
    from firsthand.config.checks import check_keys, check_vendors
    from firsthand.config.convert import convert
    from firsthand.config.document import Document
    from firsthand.config.file import config_file

    if vendors is None:
        from firsthand.vendors import registry

        vendors = registry()
    document = Document(text, env, name)
    config = convert(document, Config, document.tree, ())
    check_keys(document)
    settings = check_vendors(document, vendors)
    document.raise_faults()
    integrations = tuple(
        msgspec.structs.replace(integration, settings=settings[index])
        for index, integration in enumerate(config.integrations)
    )
    return config_file(msgspec.structs.replace(config, integrations=integrations), document, text)


def example(write_key: str = PLACEHOLDER) -> str:
    """A `firsthand.yaml` to begin with, which works against the emulator."""
    text = (resources.files("firsthand.config") / "example.yaml").read_text(encoding="utf-8")
    return text.replace(PLACEHOLDER, write_key)
