"""What an `apply` changes, said for a person."""

import json
from collections.abc import Mapping
from typing import Any, Literal

import msgspec
from msgspec import UNSET

from firsthand.config.faults import Path, render
from firsthand.config.written import written


class Field(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """A field that changes. Values are as a file writes them: `15m`, and `${NAME}` for what the environment gave."""

    path: str
    old: Any = UNSET
    """Unset where there was nothing."""
    new: Any = UNSET
    hidden: bool = False
    """The values are not shown: `***` or `${NAME}` stands for them."""
    drift: bool = False
    """`old` is not what was applied last: somebody has changed it by other means since."""

    def __str__(self) -> str:
        return f"{self.path}: {self.shown(self.old)} → {self.shown(self.new)}"

    def shown(self, value: Any) -> str:
        if value is UNSET:
            return "nothing"
        return str(value) if self.hidden and isinstance(value, str) else json.dumps(value, ensure_ascii=False)


class Change(msgspec.Struct, frozen=True):
    """What became, or would become, of one source, one integration or the gateway."""

    kind: Literal["added", "changed", "removed", "unchanged"]
    what: str
    """`source web-shop`, `integration criteo` or `gateway`."""
    fields: tuple[Field, ...] = ()
    revision: int | None = None
    """The integration's live revision afterwards."""
    drift: bool = False
    """It was added, or removed, by other means since what was applied last."""

    @property
    def detail(self) -> tuple[str, ...]:
        """The fields that changed, such as `settings.partner_id: "12345" → "67890"`. Secrets show as `***`."""
        return tuple(map(str, self.fields))

    def __str__(self) -> str:
        """For a terminal: `changed integration criteo (revision 2)`, with the fields that changed below it."""
        revision = f" (revision {self.revision})" if self.revision else ""
        return "\n    ".join([f"{self.kind} {self.what}{revision}", *self.detail])


References = Mapping[Path, str]
"""Where a value comes from the environment, by path within a part: `{("write_key",): "${WEB_WRITE_KEY}"}`."""


class Baseline(msgspec.Struct, frozen=True):
    """What was applied last of one part."""

    part: msgspec.Struct
    references: References


def differences(
    before: msgspec.Struct, after: msgspec.Struct, references: References, baseline: Baseline | None
) -> tuple[Field, ...]:
    """The fields in which two structs differ. `references` are those of `after`."""
    old, new = _leaves(before), _leaves(after)
    last = _leaves(baseline.part) if baseline else old
    changed = [path for path in dict.fromkeys([*old, *new]) if old.get(path) != new.get(path)]
    if not changed:
        return ()
    known = baseline.references if baseline else {}
    # A value that was changed since does not come from the environment any more.
    still = {path: text for path, text in known.items() if _at(old, path) == _at(last, path)}
    shown_old, shown_new = _leaves(before, still), _leaves(after, references)
    return tuple(
        Field(
            path=render(path),
            old=shown_old.get(path, UNSET),
            new=shown_new.get(path, UNSET),
            hidden=shown_old.get(path) != old.get(path) or shown_new.get(path) != new.get(path),
            drift=last.get(path) != old.get(path),
        )
        for path in changed
    )


def _leaves(part: msgspec.Struct, references: References | None = None) -> dict[Path, Any]:
    """The innermost values by path, without those that are nothing. A list is one value: its order may matter.

    With `references`, as they are shown: in place of a secret, or of what came from the environment, stands its name.
    """

    def swap(path: Path, value: Any, secret: bool) -> Any:
        if references is None or value is None:
            return value
        return references.get(path) or ("***" if secret else value)

    found: dict[Path, Any] = {}

    def collect(value: Any, path: Path) -> None:
        if isinstance(value, dict):
            for key, entry in value.items():
                collect(entry, (*path, key))
        elif value is not None:
            found[path] = value

    collect(written(part, swap), ())
    return found


def _at(leaves: Mapping[Path, Any], path: Path) -> Any:
    """The value at a path, which may lead into a list."""
    if path in leaves or not path:
        return leaves.get(path)
    whole, index = leaves.get(path[:-1]), path[-1]
    return whole[index] if isinstance(whole, list) and isinstance(index, int) and index < len(whole) else None
