"""Requests to have a lane send again that has stopped. Command and deliver meet here."""

from typing import Literal

import msgspec
import sqlalchemy as sa
from uuid_utils import uuid7

from firsthand.state.database import Database, StateError
from firsthand.state.tables import resumes

ResumeState = Literal["queued", "done"]


class Resume(msgspec.Struct, frozen=True):
    """A request to have an integration send again. `result` is what deliver says to it, once it is `done`."""

    id: str
    integration: str
    state: ResumeState
    result: str


class Resumes:
    """`now` is the time as it is written."""

    def __init__(self, database: Database, now: str) -> None:
        self._database = database
        self._now = now

    def ask(self, integration: str) -> str:
        """Ask for one; returns its id."""
        id = str(uuid7())
        row = {"id": id, "integration": integration, "state": "queued", "result": ""}
        with self._database.writing() as connection:
            connection.execute(resumes.insert().values(**row, created_at=self._now, updated_at=self._now))
        return id

    def open(self) -> list[Resume]:
        """Those that wait, in the order they were asked for."""
        query = sa.select(resumes).where(resumes.c.state == "queued").order_by(resumes.c.id)
        with self._database.reading() as connection:
            return [_resume(row) for row in connection.execute(query)]

    def get(self, id: str) -> Resume:
        with self._database.reading() as connection:
            row = connection.execute(sa.select(resumes).where(resumes.c.id == id)).first()
        if row is None:
            raise StateError(f"there is no request {id} to resume an integration")
        return _resume(row)

    def done(self, id: str, result: str) -> None:
        with self._database.writing() as connection:
            update = resumes.update().where(resumes.c.id == id)
            connection.execute(update.values(state="done", result=result, updated_at=self._now))


def _resume(row: sa.Row[tuple[object, ...]]) -> Resume:
    return Resume(row.id, row.integration, row.state, row.result)
