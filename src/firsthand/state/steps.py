"""The way from the state that is stored to a configuration: what changes, and the statements that make it so."""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import msgspec
import sqlalchemy as sa

from firsthand.config import (
    Config,
    ConfigError,
    ConfigFile,
    Fault,
    Integration,
    Process,
    Source,
    canonical_json,
    integration_from_snapshot,
    integration_snapshot,
)
from firsthand.config.faults import Path
from firsthand.config.file import references_of
from firsthand.state import applied
from firsthand.state.changes import Baseline, Change, Field, differences
from firsthand.state.tables import documents, integrations, revisions, sources

if TYPE_CHECKING:
    from firsthand.vendors.base import AnyVendor

Step = tuple[Change, list[sa.Executable]]


class Steps:
    def __init__(self, connection: sa.Connection, vendors: Mapping[str, "AnyVendor"], time: str) -> None:
        self._connection = connection
        self._vendors = vendors
        self._time = time
        self._applied: applied.Applied | None = None
        self._references: tuple[tuple[Path, str], ...] = ()

    def to(self, config: Config) -> list[Step]:
        """All steps, those that change nothing too. Raises `ConfigError` where a vendor is another one."""
        self._applied = applied.read(self._connection)
        self._references = config.references if isinstance(config, ConfigFile) else ()
        return [*self._sources(config), *self._integrations(config), self._process(config)]

    def _sources(self, config: Config) -> list[Step]:
        query = sa.select(sources).order_by(sources.c.key)
        stored = {row.key: row for row in self._connection.execute(query)}
        steps: list[Step] = []
        last = self._applied.sources if self._applied else {}
        for source in config.sources:
            what, row = f"source {source.key}", stored.pop(source.key, None)
            values = {"config": canonical_json(source).decode(), "updated_at": self._time, "removed_at": None}
            update = sources.update().where(sources.c.key == source.key).values(values)
            if row is None:
                steps.append((Change("added", what), [sources.insert().values(key=source.key, **values)]))
            elif row.removed_at is not None:
                steps.append((Change("added", what, drift=source.key in last), [update]))
            elif fields := self._fields(decode_source(row.config), source, last.get(source.key), "sources", source.key):
                steps.append((Change("changed", what, fields), [update]))
            else:
                steps.append((Change("unchanged", what), []))
        return [*steps, *self._removals(sources, "source", stored.values(), last)]

    def _integrations(self, config: Config) -> list[Step]:
        query = live_revisions().order_by(integrations.c.key)
        stored = {row.key: row for row in self._connection.execute(query)}
        steps = [
            self._integration(index, integration, stored.pop(integration.key, None))
            for index, integration in enumerate(config.integrations)
        ]
        last = self._applied.integrations if self._applied else {}
        return [*steps, *self._removals(integrations, "integration", stored.values(), last)]

    def _integration(self, index: int, integration: Integration, row: sa.Row[Any] | None) -> Step:
        key, what = integration.key, f"integration {integration.key}"
        if row is None:
            first = integrations.insert().values(key=key, vendor=integration.vendor, live_revision=1)
            return Change("added", what, revision=1), [first, self._new_revision(integration, 1)]
        if row.vendor != integration.vendor:
            raise _other_vendor(index, integration, row.vendor)
        fields = self._integration_fields(row, integration)
        returns = row.removed_at is not None
        if not fields and not returns:
            return Change("unchanged", what, revision=row.live_revision), []
        number = self._newest_revision(key) + 1 if fields else row.live_revision
        values: dict[str, Any] = {"live_revision": number, "removed_at": None}
        values |= {"added_again_at": self._time} if returns else {}
        update = integrations.update().where(integrations.c.key == key).values(values)
        drift = returns and self._applied is not None and key in self._applied.integrations
        change = Change("added" if returns else "changed", what, fields, number, drift)
        return change, [self._new_revision(integration, number), update] if fields else [update]

    def _newest_revision(self, key: str) -> int:
        """Not always the live one: somebody may have gone back to an older one."""
        newest = sa.select(sa.func.max(revisions.c.number)).where(revisions.c.integration == key)
        return int(self._connection.scalar(newest) or 0)

    def _process(self, config: Config) -> Step:
        before = stored_process(self._connection)
        last = self._applied.gateway if self._applied else None
        fields = self._fields(before or Process(), config.process, last)
        change = Change("changed" if fields else "unchanged", "gateway", fields)
        values = {"config": canonical_json(config.process).decode(), "updated_at": self._time}
        if before is None:
            return change, [documents.insert().values(name="gateway", **values)]
        return change, [documents.update().where(documents.c.name == "gateway").values(values)] if fields else []

    def _removals(
        self, table: sa.Table, noun: str, rows: Iterable[sa.Row[Any]], last: Mapping[str, object]
    ) -> list[Step]:
        """Of what is stored and not in the configuration; what was removed before is no news."""
        return [
            (
                Change("removed", f"{noun} {row.key}", drift=self._applied is not None and row.key not in last),
                [table.update().where(table.c.key == row.key).values(removed_at=self._time)],
            )
            for row in rows
            if row.removed_at is None
        ]

    def _fields(
        self, before: msgspec.Struct, after: msgspec.Struct, applied: msgspec.Struct | None, *place: str
    ) -> tuple[Field, ...]:
        """What changes in the part at a place, such as `"sources", "web-shop"`."""
        baseline = None
        if self._applied and applied:
            baseline = Baseline(applied, references_of(self._applied.references, *place))
        return differences(before, after, references_of(self._references, *place), baseline)

    def _integration_fields(self, row: sa.Row[Any], integration: Integration) -> tuple[Field, ...]:
        try:
            before = integration_from_snapshot(row.config, self._vendors)
        except (LookupError, msgspec.ValidationError):  # its vendor is another version now, or not installed
            return (Field(path="settings", old="those of an older vendor module", new="those of the file"),)
        return self._fields(before, integration, self._applied_integration(row.key), "integrations", row.key)

    def _applied_integration(self, key: str) -> Integration | None:
        number = self._applied.integrations.get(key) if self._applied else None
        of = sa.select(revisions.c.config).where(revisions.c.integration == key, revisions.c.number == number)
        config = None if number is None else self._connection.scalar(of)
        try:
            return None if config is None else integration_from_snapshot(config, self._vendors)
        except (LookupError, msgspec.ValidationError):
            return None

    def _new_revision(self, integration: Integration, number: int) -> sa.Executable:
        return revisions.insert().values(
            integration=integration.key,
            number=number,
            config=integration_snapshot(integration).decode(),
            vendor_version=self._vendors[integration.vendor].version,
            created_at=self._time,
        )


def live_revisions() -> sa.Select[Any]:
    """Integrations, removed ones too, with the configuration of their live revision."""
    return sa.select(integrations, revisions.c.config).join(
        revisions,
        sa.and_(revisions.c.integration == integrations.c.key, revisions.c.number == integrations.c.live_revision),
    )


def decode_source(config: str) -> Source:
    return msgspec.json.decode(config, type=Source)


def stored_process(connection: sa.Connection) -> Process | None:
    """What belongs to the gateway as a whole, or None before the first `apply`."""
    config = connection.scalar(sa.select(documents.c.config).where(documents.c.name == "gateway"))
    return None if config is None else msgspec.json.decode(config, type=Process)


def _other_vendor(index: int, integration: Integration, before: str) -> ConfigError:
    message = f"the vendor of {integration.key} was {before} and can't become {integration.vendor}"
    remedy = "give the new integration a key of its own: deliveries that wait belong to the vendor they were built for"
    return ConfigError("the configuration", [Fault(f"integrations[{index}].vendor", message, remedy)])
