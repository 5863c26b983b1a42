"""`identity.db`: one row an id, found by a salted hash of it; and how far the log has been read.

A row is a profile as a whole. The hash is what an erasure leaves: it tells that an id was erased, and not which.
"""

import contextlib
import hashlib
import os
import threading
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import apsw
import msgspec
import structlog

from firsthand.eventlog.base import Position
from firsthand.eventlog.files import open_reader, transaction
from firsthand.eventlog.wiping import BUSY_MS, wipe
from firsthand.identity.mending import DAMAGED, finish, mend
from firsthand.identity.profile import Profile, Ref
from firsthand.private import create_private

log = structlog.get_logger()

FILE = "identity.db"
SCHEMA = """
CREATE TABLE IF NOT EXISTS profiles (id INTEGER PRIMARY KEY, key INTEGER NOT NULL UNIQUE, profile BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS positions (shard INTEGER PRIMARY KEY, position INTEGER NOT NULL);
-- Events of erased visitors that arrived after the erasure and are to go from the log too.
CREATE TABLE IF NOT EXISTS late (
    shard INTEGER NOT NULL, position INTEGER NOT NULL, PRIMARY KEY (shard, position)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS salt (salt BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS erasures (at_ms INTEGER PRIMARY KEY);
"""
Place = tuple[int, Position]

LEARN = "INSERT INTO profiles (key, profile) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET profile = excluded.profile"
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Profile).decode


def _profile(packed: bytes) -> Profile:
    profile = _decode(packed)
    profile.forget_placeholders()
    return profile


class ProfileReader:
    """Profiles by id, through a connection of any kind."""

    def __init__(self, db: apsw.Connection) -> None:
        self._db = db
        salt = db.execute("SELECT salt FROM salt").get
        if not isinstance(salt, bytes | None):
            raise apsw.CorruptError("the salt is none")
        self._salt = salt or b""

    def close(self) -> None:
        self._db.close()

    def get(self, source: str, ref: Ref) -> Profile | None:
        packed = self._db.execute("SELECT profile FROM profiles WHERE key = ?", (self.key(source, ref),)).get
        return None if packed is None else _profile(packed)

    def positions(self) -> dict[int, Position]:
        return dict(self._db.execute("SELECT shard, position FROM positions"))

    def has_erased(self) -> bool:
        """Whether any id was ever erased: as long as none was, no event has to be held against it."""
        return self._db.execute("SELECT 1 FROM erasures LIMIT 1").get is not None

    def key(self, source: str, ref: Ref) -> int:
        """64 bits: among a million ids, two have the same one in one of 40 million files."""
        text = f"{source}\0{ref.kind}\0{ref.value}".encode("utf-8", "surrogatepass")
        return int.from_bytes(hashlib.blake2b(text, digest_size=8, key=self._salt).digest(), signed=True)


class ProfileStore(ProfileReader):
    """The writing side: the deliver process alone."""

    def __init__(self, directory: Path) -> None:
        self._path = directory / FILE
        self._lock = threading.Lock()
        finish(self._path)
        try:
            self._begin()
        except DAMAGED:
            self.mend()

    def _begin(self) -> None:
        """Open the file; what is read here is small, and nothing goes without it."""
        super().__init__(_open(self._path))
        self.positions(), self.has_erased(), self.late()

    def mend(self) -> None:
        """Go on with a new file that has all that can be read of this one, but for how far the log was observed."""
        with self._lock:  # a checkpoint comes to its end first
            salt = getattr(self, "_salt", b"")
            with contextlib.suppress(AttributeError):
                self.close()
            try:
                kept = mend(self._path, salt or _salt(self._path), _open)
            except DAMAGED:  # nothing of it can be read
                for suffix in ("", "-wal", "-shm"):
                    self._path.with_name(FILE + suffix).unlink(missing_ok=True)
                kept = 0
            log.error(
                "what is known of visitors was damaged; it is learned anew from the log",
                file=str(self._path),
                profiles_saved=kept,
            )
            self._begin()

    def write(
        self,
        profiles: Iterable[tuple[str, Ref, Profile]],
        positions: Mapping[int, Position],
        late: Iterable[Place] = (),
    ) -> None:
        """What was learned and how far the log was read for it, in one transaction."""
        rows = [(self.key(source, ref), _encode(profile)) for source, ref, profile in profiles]
        with transaction(self._db):
            self._db.executemany(LEARN, rows)
            self._db.executemany("INSERT OR REPLACE INTO positions VALUES (?, ?)", positions.items())
            self._db.executemany("INSERT OR IGNORE INTO late VALUES (?, ?)", late)

    def after(self, id: int, limit: int) -> list[tuple[int, Profile]]:
        """Some profiles in the order in which they were first written, with their numbers in it."""
        sql = "SELECT id, profile FROM profiles WHERE id > ? ORDER BY id LIMIT ?"
        rows: list[Any] = self._db.execute(sql, (id, limit)).fetchall()
        return [(number, _decode(packed)) for number, packed in rows]

    def remove(self, refs: Iterable[tuple[str, Ref]]) -> None:
        with transaction(self._db):
            self._db.executemany("DELETE FROM profiles WHERE key = ?", [(self.key(*ref),) for ref in refs])

    def note_erasure(self, at_ms: int) -> None:
        self._db.execute("INSERT OR IGNORE INTO erasures VALUES (?)", (at_ms,))

    def late(self) -> list[Place]:
        rows: list[Any] = self._db.execute("SELECT shard, position FROM late").fetchall()
        return [(shard, position) for shard, position in rows]

    def no_longer_late(self, places: Iterable[Place]) -> None:
        with transaction(self._db):
            self._db.executemany("DELETE FROM late WHERE shard = ? AND position = ?", places)

    def wipe(self) -> None:
        """Have nothing left in the files of what was replaced or deleted, through a connection of its own so that a
        thread may do it. Others write between its steps."""
        with self._lock, contextlib.closing(apsw.Connection(str(self._path))) as db:
            db.set_busy_timeout(BUSY_MS)
            for _ in wipe(db):
                pass

    def checkpoint(self) -> None:
        """Bring the journal into the file, through a connection of its own so that a thread may do it."""
        with self._lock:
            db = apsw.Connection(str(self._path))
            try:
                db.execute("SELECT count(*) FROM salt").fetchall()  # one that has read nothing knows of no journal
                db.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
            finally:
                db.close()


class Unwritten(ProfileStore):
    """For another process than deliver, which may learn from what the log has beyond the file, and write nothing."""

    def __init__(self, directory: Path) -> None:
        try:
            db = open_reader(directory / FILE)
        except FileNotFoundError:
            db = apsw.Connection(":memory:")
            db.execute(SCHEMA)
        ProfileReader.__init__(self, db)
        self._learned: dict[int, bytes] = {}

    def get(self, source: str, ref: Ref) -> Profile | None:
        packed = self._learned.get(self.key(source, ref))
        return super().get(source, ref) if packed is None else _profile(packed)

    def write(
        self,
        profiles: Iterable[tuple[str, Ref, Profile]],
        positions: Mapping[int, Position],
        late: Iterable[Place] = (),
    ) -> None:
        self._learned |= {self.key(source, ref): _encode(profile) for source, ref, profile in profiles}

    def mend(self) -> None:
        raise apsw.CorruptError(f"{FILE} is damaged; the gateway mends it when it runs")


def _salt(path: Path) -> bytes:
    """Of a file that may be damaged. Without it no key of its rows means anything."""
    db = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE)
    try:
        salt = db.execute("SELECT salt FROM salt").get
    finally:
        db.close()
    if not isinstance(salt, bytes):
        raise apsw.CorruptError("no salt")
    return salt


def _open(path: Path) -> apsw.Connection:
    create_private(path)
    db = apsw.Connection(str(path))
    db.set_busy_timeout(5_000)
    # Deleted bytes are overwritten where they stood. Checkpoints wait for the disk, so they are made elsewhere.
    for pragma in ("journal_mode=wal", "synchronous=normal", "wal_autocheckpoint=0", "cache_size=-16384"):
        db.pragma(*pragma.split("="))
    db.pragma("secure_delete", "fast")
    db.execute(SCHEMA)
    with transaction(db):
        if db.execute("SELECT count(*) FROM salt").get == 0:
            db.execute("INSERT INTO salt VALUES (?)", (os.urandom(32),))
    return db
