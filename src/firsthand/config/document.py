"""The text of `firsthand.yaml` as plain values, with the place of each and the environment filled in.

It is YAML with three differences, each of which spares the user a surprise:

- A key that stands twice in one mapping is a fault; YAML parsers silently let the last one win.
- `${NAME}` is an environment variable, also in the short form `{write_key: ${NAME}}`, where plain YAML sees braces.
- Words and numbers are read as YAML 1.2 reads them: `no` and `on` are text, `10:30` and `0123` and `2026-11-22` too.
"""

import re
from collections.abc import Mapping
from typing import Any

import msgspec
import yaml

from firsthand.config.faults import ConfigError, Fault, Path, render
from firsthand.config.values import FromEnvironment

# While YAML is parsed, `${NAME}` is written with characters that mean nothing to it and are as many, so that
# columns stay right. They are of the private use area: no text in a configuration has them.
NAME = "[A-Za-z_][A-Za-z0-9_]*"
REFERENCE = re.compile(rf"\$\{{({NAME})\}}")
_HIDDEN = re.compile(f"\ue000\ue001({NAME})\ue002")


class Loader(yaml.SafeLoader):
    pass


Loader.yaml_implicit_resolvers = {}
for _tag, _pattern, _first in [
    ("null", r"|~|null", ["", "~", "n"]),
    ("bool", r"true|false", ["t", "f"]),
    ("int", r"[-+]?(?:0|[1-9][0-9]*)", [*"-+0123456789"]),
    ("float", r"[-+]?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?", [*"-+0123456789"]),
    ("merge", r"<<", ["<"]),
]:
    Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(f"^(?:{_pattern})$"), _first)


class Document:
    """A parsed file, and the faults found in it so far."""

    def __init__(self, text: str, env: Mapping[str, str], name: str) -> None:
        self.name = name
        self.faults: list[Fault] = []
        self.references: dict[Path, str] = {}
        """What is written where a value comes from the environment, such as `${NAME}`."""
        self._env = env
        self._nodes: dict[Path, yaml.Node] = {}
        self._keys: dict[int, list[tuple[str, yaml.Node]]] = {}
        hidden = REFERENCE.sub("\ue000\ue001\\1\ue002", text)
        try:
            self._loader = Loader(hidden)
            root = self._loader.get_single_node()
        except yaml.YAMLError as error:
            raise ConfigError(name, [_syntax_fault(error)]) from None
        self.tree: Any = self._plain(root, (), ()) if root else {}
        """Mappings, lists, texts, numbers; `msgspec.UNSET` where a fault stands in the way of a value."""

    def fault(self, path: Path, message: str, remedy: str) -> None:
        self.faults.append(Fault(render(path), message, remedy, self._line(path)))

    def raw(self, path: Path) -> str | None:
        """How the value at a path is written: `1.10` for the number 1.1."""
        node = self._nodes.get(path)
        return node.value if isinstance(node, yaml.ScalarNode) else None

    def raise_faults(self) -> None:
        if self.faults:
            raise ConfigError(self.name, sorted(self.faults, key=lambda fault: fault.line or 0))

    def _line(self, path: Path) -> int | None:
        """The line of a value, or of the mapping where it is missing."""
        while path and path not in self._nodes:
            path = path[:-1]
        node = self._nodes.get(path)
        return node.start_mark.line + 1 if node else None

    def _plain(self, node: yaml.Node, path: Path, above: tuple[yaml.Node, ...]) -> Any:
        self._nodes[path] = node
        if any(node is parent for parent in above):
            self.fault(path, "this is an alias of something that it stands in", "write it out")
            return msgspec.UNSET
        above = (*above, node)
        if isinstance(node, yaml.MappingNode):
            return {key: self._plain(value, (*path, key), above) for key, value in self._items(node, path)}
        if isinstance(node, yaml.SequenceNode):
            return [self._plain(value, (*path, index), above) for index, value in enumerate(node.value)]
        return self._scalar(node, path)

    def _items(self, node: yaml.MappingNode, path: Path) -> list[tuple[str, yaml.Node]]:
        if (known := self._keys.get(id(node))) is not None:  # seen before, through an alias
            return known
        written = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
        for key in dict.fromkeys(key for key in written if written.count(key) > 1):
            self.fault((*path, key), "this key stands twice in one mapping", "remove one of them")
        self._loader.flatten_mapping(node)  # resolves `<<`: merged keys come first, so that own ones win
        items: dict[str, yaml.Node] = {}
        for key, value in node.value:
            if isinstance(key, yaml.ScalarNode):
                items[_HIDDEN.sub(r"${\1}", key.value)] = value
            else:
                self.fault(path, "a key here is a list or a mapping", "use text as a key")
        self._keys[id(node)] = list(items.items())
        return self._keys[id(node)]

    def _scalar(self, node: yaml.Node, path: Path) -> Any:
        try:
            value = self._loader.construct_object(node)
        except (yaml.YAMLError, ValueError):
            self.fault(path, f"the tag {node.tag} is not accepted", "remove it")
            return msgspec.UNSET
        return self._filled(value, path) if isinstance(value, str) else value

    def _filled(self, text: str, path: Path) -> Any:
        """A text with `${NAME}` replaced from the environment."""
        missing = [name for name in _HIDDEN.findall(text) if name not in self._env]
        for name in missing:
            self.fault(path, f"the environment variable {name} is not set", f"set {name}, or write the value here")
        if "${" in text:
            self.fault(path, "what follows ${ is not a name", "write ${NAME}, with letters, digits and _ in the name")
        if missing or "${" in text:
            return msgspec.UNSET
        if not _HIDDEN.search(text):
            return text
        filled = _HIDDEN.sub(lambda match: self._env[match[1]], text)
        reference = self.references[path] = _HIDDEN.sub(r"${\1}", text)
        return FromEnvironment(filled, reference)


def _syntax_fault(error: yaml.YAMLError) -> Fault:
    mark = getattr(error, "problem_mark", None)
    problem = str(getattr(error, "problem", None) or getattr(error, "reason", None) or "it can't be read")
    problem = problem.replace("\ue000\ue001", "${").replace("\ue002", "}")
    place = f"column {mark.column + 1}" if mark else f"character {getattr(error, 'position', 0) + 1}"
    return Fault(
        place,
        f"this is not YAML: {problem}",
        "check the indentation, the quotes and the brackets there and on the line before",
        mark.line + 1 if mark else None,
    )
