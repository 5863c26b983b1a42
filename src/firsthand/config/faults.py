"""What is wrong with a configuration: every fault at once, each with its place and its remedy."""

from collections.abc import Sequence

import msgspec

Path = tuple[str | int, ...]
"""Where a value stands: `("integrations", 0, "settings", "partner_id")`."""


class Fault(msgspec.Struct, frozen=True):
    """One thing that is wrong. Holds no secret: a value from the environment shows as `${NAME}`."""

    path: str
    """Such as `integrations[0].settings.partner_id`, or the name of an environment variable."""
    message: str
    remedy: str
    line: int | None = None

    def __str__(self) -> str:
        place = f"line {self.line}, {self.path}" if self.line else self.path
        return f"{place}: {self.message}; {self.remedy}"


class ConfigError(Exception):
    """The configuration can't be used. `faults` has everything that is wrong with it, in the order of the file."""

    def __init__(self, source: str, faults: Sequence[Fault]) -> None:
        self.source = source
        """What was read: the file's name, or `the environment`."""
        self.faults = tuple(faults)
        super().__init__(source, self.faults)

    def __str__(self) -> str:
        if len(self.faults) == 1 and self.faults[0].path == self.source:  # it is about the file as a whole
            return str(self.faults[0])
        count = "1 fault" if len(self.faults) == 1 else f"{len(self.faults)} faults"
        return "\n".join([f"{self.source} has {count}:", *(f"  {fault}" for fault in self.faults)])


def render(path: Path) -> str:
    """A path for a person: `integrations[0].mapping.events["Order Completed"].enabled`."""
    text = ""
    for step in path:
        if isinstance(step, int):
            text += f"[{step}]"
        elif step.replace("_", "").replace("-", "").isalnum():
            text += f".{step}" if text else step
        else:
            text += f'["{step}"]'
    return text or "(the whole file)"
