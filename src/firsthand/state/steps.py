"""The way from the state that is stored to a configuration: what changes, and the statements that make it so."""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import msgspec
import sqlalchemy as sa

from firsthand.config import (
    Config,
    ConfigError,
    Fault,
    Integration,
    Process,
    Source,
    canonical_json,
    integration_from_snapshot,
    integration_snapshot,
)
from firsthand.state.changes import Change, differences
from firsthand.state.tables import documents, integrations, revisions, sources

if TYPE_CHECKING:
    from firsthand.vendors.base import AnyVendor

Step = tuple[Change, list[sa.Executable]]


class Steps:
    def __init__(self, connection: sa.Connection, vendors: Mapping[str, "AnyVendor"], time: str) -> None:
        self._connection = connection
        self._vendors = vendors
        self._time = time

    def to(self, config: Config) -> list[Step]:
        """All steps, those that change nothing too. Raises `ConfigError` where a vendor is another one."""
        return [*self._sources(config), *self._integrations(config), self._process(config)]

    def _sources(self, config: Config) -> list[Step]:
        query = sa.select(sources).order_by(sources.c.key)
        stored = {row.key: row for row in self._connection.execute(query)}
        steps: list[Step] = []
        for source in config.sources:
            what, row = f"source {source.key}", stored.pop(source.key, None)
            values = {"config": canonical_json(source).decode(), "updated_at": self._time, "removed_at": None}
            update = sources.update().where(sources.c.key == source.key).values(values)
            if row is None:
                steps.append((Change("added", what), [sources.insert().values(key=source.key, **values)]))
            elif row.removed_at is not None:
                steps.append((Change("added", what), [update]))
            elif detail := differences(msgspec.json.decode(row.config, type=Source), source):
                steps.append((Change("changed", what, detail), [update]))
            else:
                steps.append((Change("unchanged", what), []))
        return [*steps, *self._removals(sources, "source", stored.values())]

    def _integrations(self, config: Config) -> list[Step]:
        query = live_revisions().order_by(integrations.c.key)
        stored = {row.key: row for row in self._connection.execute(query)}
        steps = [
            self._integration(index, integration, stored.pop(integration.key, None))
            for index, integration in enumerate(config.integrations)
        ]
        return [*steps, *self._removals(integrations, "integration", stored.values())]

    def _integration(self, index: int, integration: Integration, row: sa.Row[Any] | None) -> Step:
        key, what = integration.key, f"integration {integration.key}"
        if row is None:
            first = integrations.insert().values(key=key, vendor=integration.vendor, live_revision=1)
            return Change("added", what, revision=1), [first, self._new_revision(integration, 1)]
        if row.vendor != integration.vendor:
            raise _other_vendor(index, integration, row.vendor)
        detail = self._differences(row, integration)
        returns = row.removed_at is not None
        if not detail and not returns:
            return Change("unchanged", what, revision=row.live_revision), []
        number = row.live_revision + bool(detail)
        update = integrations.update().where(integrations.c.key == key).values(live_revision=number, removed_at=None)
        change = Change("added" if returns else "changed", what, detail, number)
        return change, [self._new_revision(integration, number), update] if detail else [update]

    def _process(self, config: Config) -> Step:
        before = stored_process(self._connection)
        detail = differences(before or Process(), config.process)
        change = Change("changed" if detail else "unchanged", "gateway", detail)
        values = {"config": canonical_json(config.process).decode(), "updated_at": self._time}
        if before is None:
            return change, [documents.insert().values(name="gateway", **values)]
        return change, [documents.update().where(documents.c.name == "gateway").values(values)] if detail else []

    def _removals(self, table: sa.Table, noun: str, rows: Iterable[sa.Row[Any]]) -> list[Step]:
        """Of what is stored and not in the configuration; what was removed before is no news."""
        return [
            (
                Change("removed", f"{noun} {row.key}"),
                [table.update().where(table.c.key == row.key).values(removed_at=self._time)],
            )
            for row in rows
            if row.removed_at is None
        ]

    def _differences(self, row: sa.Row[Any], integration: Integration) -> tuple[str, ...]:
        try:
            before = integration_from_snapshot(row.config, self._vendors)
        except msgspec.ValidationError:
            return ("settings: the vendor's module has other settings than before",)
        return differences(before, integration)

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


def stored_process(connection: sa.Connection) -> Process | None:
    """What belongs to the gateway as a whole, or None before the first `apply`."""
    config = connection.scalar(sa.select(documents.c.config).where(documents.c.name == "gateway"))
    return None if config is None else msgspec.json.decode(config, type=Process)


def _other_vendor(index: int, integration: Integration, before: str) -> ConfigError:
    message = f"the vendor of {integration.key} was {before} and can't become {integration.vendor}"
    remedy = "give the new integration a key of its own: deliveries that wait belong to the vendor they were built for"
    return ConfigError("the configuration", [Fault(f"integrations[{index}].vendor", message, remedy)])
