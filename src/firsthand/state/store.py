"""The state's operations. Each is one transaction."""

import hashlib
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import msgspec
import sqlalchemy as sa
from uuid_utils import uuid7

from firsthand.config import Config, Integration, Process, Source, canonical_json, integration_from_snapshot
from firsthand.config.faults import Path as FieldPath
from firsthand.config.file import value_at
from firsthand.event import format_time, parse_time
from firsthand.state import applied
from firsthand.state.applied import LastApplied
from firsthand.state.changes import Change
from firsthand.state.database import Database, StateError, empty_database, open_database
from firsthand.state.erasures import Erasures
from firsthand.state.resumes import Resumes
from firsthand.state.roster import Live, Roster
from firsthand.state.steps import Steps, decode_source, live_revisions, stored_process
from firsthand.state.tables import documents, integrations, replays, revisions, sources

if TYPE_CHECKING:
    from firsthand.vendors.base import AnyVendor

ReplayState = Literal["queued", "running", "done", "failed", "cancelled"]
FINAL: tuple[ReplayState, ...] = ("done", "failed", "cancelled")


class Replay(msgspec.Struct, frozen=True):
    """A request to send events of one integration again, and how far it is."""

    id: str
    integration: str
    filter: dict[str, Any]
    state: ReplayState
    progress: dict[str, Any]
    created_at: str
    updated_at: str


class State:
    """Sources, integrations with their revisions, and replays. Open it with `State.open`."""

    def __init__(self, database: Database, vendors: Mapping[str, "AnyVendor"], now: Callable[[], float]) -> None:
        self._database = database
        self._vendors = vendors
        self._now = now

    @classmethod
    def open(
        cls,
        data_dir: Path,
        migrate: bool = False,
        vendors: Mapping[str, "AnyVendor"] | None = None,
        now: Callable[[], float] = time.time,
    ) -> "State":
        """The state in a data folder. Raises `StateError`.

        `migrate` makes the folder and the tables where they are missing and brings old ones up to date. That is for
        the one who owns the folder (`serve`, or `apply` before the first one); others wait until it is done.
        `vendors` are the installed ones where none are given.
        """
        if vendors is None:
            from firsthand.vendors import registry

            vendors = registry()
        return cls(open_database(data_dir, migrate), vendors, now)

    @classmethod
    def empty(cls, vendors: Mapping[str, "AnyVendor"] | None = None) -> "State":
        """The state before the first `apply`, in memory: what a plan is compared with where there is no other."""
        if vendors is None:
            from firsthand.vendors import registry

            vendors = registry()
        return cls(empty_database(), vendors, time.time)

    # Configuration

    def plan(self, config: Config) -> list[Change]:
        """What `apply` would change."""
        with self._database.reading() as connection:
            return [change for change, _ in self._steps(connection).to(config)]

    def apply(self, config: Config) -> list[Change]:
        """Makes the state what the configuration says, all or nothing, and tells what that changed.

        The answer also has what stayed (`unchanged`): applying the same configuration again changes nothing. An
        integration that is not what it was gets the next revision. What the configuration no longer has is marked
        removed and keeps its history. Raises `ConfigError` where an integration's vendor is another one.
        """
        with self._database.writing() as connection:
            steps = self._steps(connection).to(config)
            for _, statements in steps:
                for statement in statements:
                    connection.execute(statement)
            applied.remember(connection, config, self._time())
        return [change for change, _ in steps]

    def last_applied(self) -> LastApplied | None:
        with self._database.reading() as connection:
            return applied.last_applied(connection)

    def references(self) -> dict[FieldPath, str]:
        """Which values came from the environment, as the file applied last wrote them, by path.

        Only where the value is still the one that the file gave.
        """
        with self._database.reading() as connection:
            last = applied.read(connection)
            now = self._config(connection)
            if last is None:
                return {}
            then = Config(
                **{name: getattr(last.gateway, name) for name in Process.__struct_fields__},
                sources=tuple(last.sources.values()),
                integrations=tuple(self._revision(connection, *one) for one in last.integrations.items()),
            )
        return {path: text for path, text in last.references if value_at(now, path) == value_at(then, path)}

    def version(self) -> str:
        """Changes with the configuration and with nothing else: for who wants to know when to read it again.

        It is made from the configuration itself, so that nobody who changes it can forget to count.
        """
        queries = (
            sa.select(documents.c.config).where(documents.c.name == "gateway"),
            sa.select(sources.c.key, sources.c.config, sources.c.removed_at).order_by(sources.c.key),
            sa.select(integrations.c.key, integrations.c.live_revision, integrations.c.removed_at).order_by("key"),
        )
        with self._database.reading() as connection:
            rows = [tuple(row) for query in queries for row in connection.execute(query)]
        return hashlib.blake2b(repr(rows).encode(), digest_size=16).hexdigest()

    def configuration(self) -> Config:
        """All of it, as a file would have it."""
        with self._database.reading() as connection:
            return self._config(connection)

    def readable(self) -> Config:
        """All of it but for the integrations that cannot be read."""
        roster = self.roster()
        process = {name: getattr(roster.process, name) for name in Process.__struct_fields__}
        integrations = tuple(live.integration for live in roster.integrations)
        return Config(**process, sources=roster.sources, integrations=integrations)

    def process(self) -> Process:
        """What belongs to the gateway as a whole: proxies, and how long things are kept."""
        with self._database.reading() as connection:
            return stored_process(connection) or Process()

    def sources(self) -> list[Source]:
        with self._database.reading() as connection:
            return self._sources(connection)

    def integrations(self) -> list[Live]:
        """All integrations that are not removed, those that are not enabled too. Raises `StateError` where one cannot
        be read; a `roster` goes without it."""
        with self._database.reading() as connection:
            return self._integrations(connection)

    def roster(self) -> Roster:
        """All that deliver and collect run by. What cannot be read stops nothing else."""
        unreadable: dict[str, str] = {}
        with self._database.reading() as connection:
            found = self._integrations(connection, unreadable)
            process = stored_process(connection) or Process()
            return Roster(tuple(found), tuple(self._sources(connection)), process, unreadable)

    def integration_keys(self) -> list[str]:
        """The keys of all that are not removed, also of those that cannot be read."""
        with self._database.reading() as connection:
            query = sa.select(integrations.c.key).where(integrations.c.removed_at.is_(None))
            return list(connection.scalars(query.order_by(integrations.c.key)))

    def revision(self, key: str, number: int) -> Integration:
        """An integration as one of its revisions has it, also where it is removed by now."""
        with self._database.reading() as connection:
            return self._revision(connection, key, number)

    # Replays

    def queue_replay(self, integration: str, filter: Mapping[str, Any]) -> str:
        """Asks for a replay and returns its id."""
        known = sa.select(integrations.c.key).where(
            integrations.c.key == integration, integrations.c.removed_at.is_(None)
        )
        replay, now = str(uuid7()), self._time()
        with self._database.writing() as connection:
            if connection.scalar(known) is None:
                raise StateError(f"there is no integration {integration}")
            connection.execute(
                replays.insert().values(
                    id=replay,
                    integration=integration,
                    filter=_json(filter),
                    state="queued",
                    progress="{}",
                    created_at=now,
                    updated_at=now,
                )
            )
        return replay

    def replays(self, states: Iterable[ReplayState] | None = None) -> list[Replay]:
        """Replays in these states (all where none are named), in the order they were asked for."""
        query = sa.select(replays).order_by(replays.c.id)
        if states is not None:
            query = query.where(replays.c.state.in_(list(states)))
        with self._database.reading() as connection:
            return [_replay(row) for row in connection.execute(query)]

    def update_replay(self, id: str, state: ReplayState, progress: Mapping[str, Any] | None = None) -> ReplayState:
        """Sets a replay's state and progress, and returns the state that now holds.

        A replay that is done, failed or cancelled stays so: who runs it learns from the answer that it was
        cancelled meanwhile.
        """
        values = {"state": state, "updated_at": self._time()}
        if progress is not None:
            values["progress"] = _json(progress)
        with self._database.writing() as connection:
            connection.execute(replays.update().where(replays.c.id == id, replays.c.state.not_in(FINAL)).values(values))
            held: ReplayState | None = connection.scalar(sa.select(replays.c.state).where(replays.c.id == id))
        if held is None:
            raise StateError(f"there is no replay {id}")
        return held

    # Erasures

    @property
    def erasures(self) -> Erasures:
        return Erasures(self._database, self._time())

    # Stopped lanes

    @property
    def resumes(self) -> Resumes:
        return Resumes(self._database, self._time())

    # Reading

    def _config(self, connection: sa.Connection) -> Config:
        process = stored_process(connection) or Process()
        return Config(
            **{name: getattr(process, name) for name in Process.__struct_fields__},
            sources=tuple(self._sources(connection)),
            integrations=tuple(live.integration for live in self._integrations(connection)),
        )

    def _sources(self, connection: sa.Connection) -> list[Source]:
        query = sa.select(sources.c.config).where(sources.c.removed_at.is_(None)).order_by(sources.c.key)
        return [decode_source(config) for config in connection.scalars(query)]

    def _integrations(self, connection: sa.Connection, unreadable: dict[str, str] | None = None) -> list[Live]:
        """Where `unreadable` is given, what cannot be read goes there, with the reason."""
        query = live_revisions().where(integrations.c.removed_at.is_(None)).order_by(integrations.c.key)
        rows = connection.execute(query).all()
        first = sa.select(revisions.c.integration, revisions.c.created_at).where(revisions.c.number == 1)
        since = {row.integration: row.created_at for row in connection.execute(first)}
        found = []
        for row in rows:
            try:
                integration = self._integration(row.key, row.live_revision, row.config)
            except StateError as error:
                if unreadable is None:
                    raise
                unreadable[row.key] = str(error)
                continue
            since_ms = parse_time(row.added_again_at or since[row.key])
            found.append(Live(integration, row.live_revision, since_ms, row.added_again_at is not None))
        return found

    def _revision(self, connection: sa.Connection, key: str, number: int) -> Integration:
        query = sa.select(revisions.c.config).where(revisions.c.integration == key, revisions.c.number == number)
        config = connection.scalar(query)
        if config is None:
            raise StateError(f"there is no revision {number} of an integration {key}")
        return self._integration(key, number, config)

    def _integration(self, key: str, number: int, config: str) -> Integration:
        try:
            return integration_from_snapshot(config, self._vendors)
        except LookupError:
            message = f"the vendor of the integration {key} is not installed; install its package or remove it"
            raise StateError(message) from None
        except msgspec.ValidationError as error:
            message = f"revision {number} of the integration {key} doesn't fit its vendor's settings any more ({error})"
            raise StateError(f"{message}; apply a configuration with the settings of today") from None

    def _steps(self, connection: sa.Connection) -> Steps:
        return Steps(connection, self._vendors, self._time())

    def _time(self) -> str:
        return format_time(round(self._now() * 1000))


def _json(value: Any) -> str:
    return canonical_json(value).decode()


def _replay(row: sa.Row[Any]) -> Replay:
    return Replay(
        id=row.id,
        integration=row.integration,
        filter=_object(row.filter),
        state=row.state,
        progress=_object(row.progress),
        created_at=row.created_at,
        updated_at=row.updated_at,
    )


def _object(text: str) -> dict[str, Any]:
    return msgspec.json.decode(text, type=dict[str, Any])
