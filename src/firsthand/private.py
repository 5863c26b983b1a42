"""Files for their owner only: what the gateway keeps holds people and secrets."""

import contextlib
import os
from pathlib import Path

BESIDE = ("-wal", "-shm", "-journal")
"""What SQLite keeps beside a database, in the database's mode."""

OURS = ("*.db*", "*.lock", "*.sock", "secret.key", "consent-heads.jsonl", "ledger.damaged.json", "imports", "imports/*")


def make_private_folder(path: Path) -> None:
    """A folder likewise. One that was there before keeps its mode: it may be shared on purpose, or be `/tmp`."""
    path.mkdir(mode=0o700, parents=True, exist_ok=True)


def create_private(path: Path) -> None:
    """The file is there, and its owner's alone, whatever the umask is and whichever version made it.

    One that belongs to somebody else stays as it is.
    """
    make_private_folder(path.parent)
    os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
    for file in (path, *(path.with_name(path.name + end) for end in BESIDE)):
        with contextlib.suppress(FileNotFoundError, PermissionError):
            if file.stat().st_mode & 0o177:
                file.chmod(0o600)


def make_private(folder: Path) -> None:
    """The same for all that there is of ours in a data folder."""
    for pattern in OURS:
        for path in folder.glob(pattern):
            with contextlib.suppress(FileNotFoundError, PermissionError):
                if path.stat().st_mode & 0o077:
                    path.chmod(0o700 if path.is_dir() else 0o600)
