"""A configuration as the text of a `firsthand.yaml` that says the same: without defaults, and without secrets."""

import json
import re
from collections.abc import Mapping
from typing import Any

import msgspec
import yaml

from firsthand.config.document import NAME, REFERENCE, Loader
from firsthand.config.faults import Path, render
from firsthand.config.model import Config
from firsthand.config.written import written

_HEADER = """\
# Written by `firsthand export`. Give it to `firsthand plan` and `firsthand apply`.
"""
_NEEDED = """\
#
# It takes these values from the environment:
#
"""


class Export(msgspec.Struct, frozen=True):
    """`variables` says of each environment variable that the text names what it is for."""

    text: str
    variables: dict[str, str]


def export(config: Config, references: Mapping[Path, str]) -> Export:
    """The configuration as a file. `references` are the values to take from the environment, as `ConfigFile` has them.

    Secrets are always taken from there: one without a reference is given the name of a variable.
    """
    exporter = _Exporter(references)
    tree: dict[str, Any] = {}
    if config.sources:
        tree["sources"] = [exporter.part(source, ("sources", source.key)) for source in config.sources]
    if config.integrations:
        tree["integrations"] = [exporter.part(one, ("integrations", one.key)) for one in config.integrations]
    tree |= exporter.part(config.process, ())
    head = _HEADER
    if exporter.variables:
        width = max(map(len, exporter.variables))
        head += _NEEDED + "".join(f"#   {name.ljust(width)}  {use}\n" for name, use in exporter.variables.items())
    body = yaml.dump(tree, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=1_000_000) if tree else ""
    return Export(f"{head}\n{body}" if body else head, exporter.variables)


class _Exporter:
    def __init__(self, references: Mapping[Path, str]) -> None:
        self._references = references
        self._leading_to = {path[:length] for path in references for length in range(len(path) + 1)}
        self._taken = {name for text in references.values() for name in REFERENCE.findall(text)}
        self.variables: dict[str, str] = {}

    def part(self, part: msgspec.Struct, place: Path) -> dict[str, Any]:
        """One source, one integration or the gateway, which stands at a place."""

        def swap(path: Path, value: Any, secret: bool) -> Any:
            return self._single((*place, *path), value, secret)

        # Whether events go to the vendor is not for a default to say.
        tree = written(part, swap, lambda path: path == ("environment",) or (*place, *path) in self._leading_to)
        if tree.get("name") == tree.get("key") and (*place, "name") not in self._references:
            tree.pop("name", None)  # a source without a name is called by its key
        return tree

    def _single(self, path: Path, value: Any, secret: bool) -> Any:
        reference = self._references.get(path)
        if reference is not None:
            for name in REFERENCE.findall(reference):
                self.variables.setdefault(name, _use(path))
            return reference
        if value and (secret or (isinstance(value, str) and not _can_be_written(value))):
            name = self._new_name(path)
            self.variables[name] = _use(path)
            return f"${{{name}}}"
        return value

    def _new_name(self, path: Path) -> str:
        """`WEB_SHOP_WRITE_KEY` for the write key of the source web-shop."""
        steps = [str(step) for step in path[1:] if step != "settings"] or [str(step) for step in path]
        base = re.sub(r"[^A-Z0-9]+", "_", "_".join(steps).upper()).strip("_") or "VALUE"
        base = base if re.fullmatch(NAME, base) else f"_{base}"
        name, number = base, 2
        while name in self._taken:
            name, number = f"{base}_{number}", number + 1
        self._taken.add(name)
        return name


def _use(path: Path) -> str:
    """`write_key of source web-shop`"""
    match path:
        case ("sources", str(key), *rest):
            return f"{render(tuple(rest))} of source {key}"
        case ("integrations", str(key), *rest):
            return f"{render(tuple(rest))} of integration {key}"
    return render(path)


def _can_be_written(text: str) -> bool:
    """Whether a text means itself in a file: `${` begins a reference, and what stands in for it is not for texts."""
    return "${" not in text and not re.search("[\ue000-\ue002]", text)


class _Dumper(yaml.SafeDumper):
    """Mappings in blocks, short lists on one line; in quotes what either YAML 1.1 or our reader takes for no text."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        super().increase_indent(flow, False)

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _write_list(dumper: Any, values: list[Any]) -> Any:
    on_one_line = not any(isinstance(value, (dict, list)) for value in values)
    return dumper.represent_sequence("tag:yaml.org,2002:seq", values, flow_style=on_one_line)


def _write_mapping(dumper: Any, values: dict[str, Any]) -> Any:
    # In braces a reference would need quotes, and nobody writes it so.
    simple = not any(isinstance(value, (dict, list)) or "${" in str(value) for value in values.values())
    on_one_line = len(values) < 2 and simple
    return dumper.represent_mapping("tag:yaml.org,2002:map", values, flow_style=on_one_line)


def _write_text(dumper: Any, value: str) -> Any:
    something_else = dumper.resolve(yaml.ScalarNode, value, (True, False)) != "tag:yaml.org,2002:str"
    as_it_is = json.dumps(value, ensure_ascii=False) == f'"{value}"'
    # In double quotes, as people write them, where no escapes are needed, or where nothing but escapes will do:
    # between single ones, line ends other than \n come back as blanks.
    style = '"' if (something_else and as_it_is) or not value.isprintable() else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)


_Dumper.yaml_implicit_resolvers = {
    first: [*yaml.SafeDumper.yaml_implicit_resolvers.get(first, []), *Loader.yaml_implicit_resolvers.get(first, [])]
    for first in yaml.SafeDumper.yaml_implicit_resolvers.keys() | Loader.yaml_implicit_resolvers.keys()
}
_Dumper.add_representer(list, _write_list)
_Dumper.add_representer(dict, _write_mapping)
_Dumper.add_representer(str, _write_text)
