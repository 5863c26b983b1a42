"""A configuration together with what only its file knows: its name, its hash, and which values it takes from where."""

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

import msgspec

from firsthand.config.faults import Path
from firsthand.config.model import Config
from firsthand.config.written import written

if TYPE_CHECKING:
    from firsthand.config.document import Document


class ConfigFile(Config, frozen=True):
    """A configuration that was read from a file.

    `references` are the values that come from the environment, as the file writes them (`${NAME}`), by path. In these
    paths, sources and integrations go by key: `("sources", "web-shop", "write_key")`.
    """

    file: str = ""
    sha256: str = ""
    """Of the text, before the environment is filled in."""
    references: tuple[tuple[Path, str], ...] = ()


def references_of(references: Iterable[tuple[Path, str]], *place: str) -> dict[Path, str]:
    """Those of one source or one integration, by the path within it; without a place, the gateway's own."""
    if not place:
        return {path: text for path, text in references if path[0] not in ("sources", "integrations")}
    return {path[len(place) :]: text for path, text in references if path[: len(place)] == place}


def config_file(config: Config, document: "Document", text: str) -> ConfigFile:
    """The configuration that a document holds, with the document's own facts."""
    keyed = {
        "sources": [source.key for source in config.sources],
        "integrations": [integration.key for integration in config.integrations],
    }
    return ConfigFile(
        **{name: getattr(config, name) for name in config.__struct_fields__},
        file=PurePath(document.name).name,
        sha256=hashlib.sha256(text.encode()).hexdigest(),
        references=tuple((_by_key(path, keyed), reference) for path, reference in document.references.items()),
    )


def _by_key(path: Path, keyed: Mapping[str, list[str]]) -> Path:
    match path:
        case (str(kind), int(index), *rest) if kind in keyed:
            return (kind, keyed[kind][index], *rest)
    return path


def value_at(config: Config, path: Path) -> Any:
    """The value that stands at a path, as a file writes it; None where there is none."""
    part, rest = _part_at(config, path)
    value: Any = None if part is None else written(part, lambda path, value, secret: value)
    for step in rest:
        try:
            value = value[step]
        except (KeyError, IndexError, TypeError):
            return None
    return value


def _part_at(config: Config, path: Path) -> tuple[msgspec.Struct | None, Path]:
    """The source, the integration or the gateway that a path leads into, and the rest of the path."""
    match path:
        case ("sources", key, *rest):
            return next((source for source in config.sources if source.key == key), None), tuple(rest)
        case ("integrations", key, *rest):
            return next((one for one in config.integrations if one.key == key), None), tuple(rest)
    return config.process, path
