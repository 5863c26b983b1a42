"""Texts made of columns: `order-{line}`, `{shop}-{number}`."""

import re

LINE, FILE = "line", "file"
"""Names that are no columns': the row's line, and the file by its content."""
_PARTS = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[^{}]+|[{}]")


class BadTemplate(ValueError):
    """The text says what is wrong with it."""


def parts_of(template: str) -> list[tuple[str, bool]]:
    """Texts, and names (True) of what is put in. `{{` and `}}` are braces. Raises BadTemplate."""
    parts: list[tuple[str, bool]] = []
    for match in _PARTS.finditer(template):
        found = match[0]
        if found in ("{", "}"):
            raise BadTemplate(f"a {found} is left over")
        if match[1] is not None:
            if not match[1].strip():
                raise BadTemplate("there is no name between { and }")
            parts.append((match[1], True))
        else:
            parts.append(({"{{": "{", "}}": "}"}.get(found, found), False))
    if not any(is_name for _, is_name in parts):
        raise BadTemplate("there is nothing to put in: a constant is written {const: …}")
    return parts
