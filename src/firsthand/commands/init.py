"""`init`: a configuration to begin with, which works against the emulators as it is."""

import secrets
import shlex
from pathlib import Path
from typing import Annotated

import typer

from firsthand.commands.shared import fail

DEFAULT = Path("firsthand.yaml")
KEY_BYTES = 24


def init(file: Annotated[Path, typer.Argument(help="The file to write.")] = DEFAULT) -> None:
    """Write a firsthand.yaml to begin with.

    With a write key of its own. It sends to the vendors' emulators until it says otherwise.
    """
    from firsthand.config import example
    from firsthand.terminal.console import own_command

    try:
        with file.open("x", encoding="utf-8") as new:
            new.write(example(secrets.token_hex(KEY_BYTES)))
    except FileExistsError:
        fail(f"{file} is there already and was left as it is: name another file, or move it away")
    command, config = own_command(), "" if file == DEFAULT else f" --config {shlex.quote(str(file))}"
    print(f"Wrote {file}: a source, web-shop, with a write key of its own, and an integration, criteo, in the sandbox.")
    print(f"Now start both, each in a terminal: the first may end in &\n  {command} emulate\n  {command} serve{config}")
    print("`serve` says where it listens, and how to send it a first event.")
