"""Erasures that were asked for. Command, deliver and collect meet here, and a restart goes on from what stands here.

What says who is to be erased is itself personal: it stands here until the erasure is done, and is overwritten then.
"""

from collections.abc import Mapping
from typing import Any, Literal

import msgspec
import sqlalchemy as sa
from uuid_utils import uuid7

from firsthand.config import canonical_json
from firsthand.personal import mask_text
from firsthand.state.database import Database, StateError
from firsthand.state.tables import erasures

ErasureState = Literal["queued", "running", "done", "failed"]


class Erasure(msgspec.Struct, frozen=True):
    """A request to erase a visitor, and how far it is.

    `wanted` is who was asked for, `plan` what that came to; both are empty once it is `done`. `log_done` says that
    collect has erased the events of the plan, `result` what deliver has taken from its own stores.
    """

    id: str
    state: ErasureState
    wanted: dict[str, Any]
    plan: dict[str, Any]
    log_done: bool
    result: dict[str, Any]
    created_at: str
    updated_at: str


class Erasures:
    """`now` is the time as it is written."""

    def __init__(self, database: Database, now: str) -> None:
        self._database = database
        self._now = now

    def ask(self, wanted: Mapping[str, Any]) -> str:
        """Ask for one; returns its id."""
        return self._insert("queued", wanted=_json(wanted))

    def begin(self, plan: Mapping[str, Any]) -> str:
        """One that nobody asked for and whose plan is known."""
        return self._insert("running", plan=_json(plan))

    def _insert(self, state: ErasureState, **values: str) -> str:
        id = str(uuid7())
        row = {"wanted": "{}", "plan": "{}", "result": "{}", "log_done": False, **values}
        with self._database.writing() as connection:
            connection.execute(
                erasures.insert().values(id=id, state=state, created_at=self._now, updated_at=self._now, **row)
            )
        return id

    def open(self) -> list[Erasure]:
        """Those that are not over, in the order they were asked for."""
        query = sa.select(erasures).where(erasures.c.state.in_(["queued", "running"])).order_by(erasures.c.id)
        with self._database.reading() as connection:
            return [_erasure(row) for row in connection.execute(query)]

    def get(self, id: str) -> Erasure:
        with self._database.reading() as connection:
            row = connection.execute(sa.select(erasures).where(erasures.c.id == id)).first()
        if row is None:
            raise StateError(f"there is no erasure {id}")
        return _erasure(row)

    def planned(self, id: str, plan: Mapping[str, Any]) -> None:
        """It is known what is to go."""
        self._update(id, state="running", plan=_json(plan))

    def log_done(self, id: str) -> None:
        """The events of its plan are erased from the log."""
        self._update(id, log_done=True)

    def delivered(self, id: str, result: Mapping[str, Any]) -> None:
        """Deliver's part is done: `result` says how much there was."""
        self._update(id, result=_json(result))

    def done(self, id: str) -> None:
        """It is over; who it was about is forgotten here too."""
        self._update(id, state="done", wanted="{}", plan="{}")

    def failed(self, id: str, error: str) -> None:
        """It cannot be carried out."""
        self._update(id, state="failed", wanted="{}", plan="{}", result=_json({"error": error}))

    def _update(self, id: str, **values: Any) -> None:
        with self._database.writing() as connection:
            connection.execute(erasures.update().where(erasures.c.id == id).values(updated_at=self._now, **values))


def why(error: Exception) -> str:
    """What whoever asked is told where an erasure failed."""
    return f"{type(error).__name__}: {mask_text(str(error))}"[:500]


def _json(value: Any) -> str:
    return canonical_json(value).decode()


def _erasure(row: sa.Row[Any]) -> Erasure:
    wanted, plan, result = (
        msgspec.json.decode(text, type=dict[str, Any]) for text in (row.wanted, row.plan, row.result)
    )
    return Erasure(row.id, row.state, wanted, plan, row.log_done, result, row.created_at, row.updated_at)
