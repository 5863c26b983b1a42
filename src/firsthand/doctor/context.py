"""What the checks look at: the file, the state, the log and the ledger, each read once, when first asked for."""

import asyncio
import os
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import apsw

from firsthand.config import Config, ConfigError, ConfigFile, Integration, Source, load
from firsthand.doctor.sample import Sample, newest
from firsthand.eventlog.sqlite_reader import SqliteLogReader
from firsthand.ledger.reader import LedgerReader
from firsthand.locks import holders
from firsthand.settings import Settings
from firsthand.state.database import StateError
from firsthand.state.environments import FILE
from firsthand.state.store import State
from firsthand.status import status
from firsthand.supervise import ROLES

SAMPLE_EVENTS = 1_000
SAMPLE_ROWS = 50_000
"""How far back a source's events are looked for among those of the others."""


class Context:
    """`file_path` is the configuration file, None where there is none; `production` judges as if for real visitors."""

    def __init__(
        self,
        settings: Settings,
        file_path: Path | None = None,
        *,
        production: bool = False,
        catalogue: Path | None = None,
        events: int = SAMPLE_EVENTS,
        env: Mapping[str, str] = os.environ,
    ) -> None:
        self.settings = settings
        self.data = settings.data
        self.file_path = file_path
        self.production = production
        self.catalogue = catalogue
        self._events = events
        self._env = env

    # What the gateway is to do

    @cached_property
    def _loaded(self) -> ConfigFile | ConfigError | None:
        if self.file_path is None:
            return None
        try:
            return load(self.file_path, self._env)
        except ConfigError as error:
            return error

    @property
    def file(self) -> ConfigFile | None:
        return self._loaded if isinstance(self._loaded, ConfigFile) else None

    @property
    def file_error(self) -> ConfigError | None:
        return self._loaded if isinstance(self._loaded, ConfigError) else None

    @cached_property
    def _state(self) -> tuple[State, Config] | StateError | None:
        if not (self.data / FILE).exists():
            return None
        try:
            state = State.open(self.data)
            return state, state.readable()
        except StateError as error:
            return error

    @property
    def state(self) -> State | None:
        return self._state[0] if isinstance(self._state, tuple) else None

    @property
    def state_error(self) -> StateError | None:
        return self._state if isinstance(self._state, StateError) else None

    @property
    def config(self) -> Config:
        """The file's; without one, what was applied last; without that, an empty one."""
        if self.file is not None:
            return self.file
        return self._state[1] if isinstance(self._state, tuple) else Config()

    @property
    def integrations(self) -> list[Integration]:
        """Those that are enabled."""
        return [integration for integration in self.config.integrations if integration.enabled]

    def sources_of(self, integration: Integration) -> list[Source]:
        return [source for source in self.config.sources if integration.takes_source(source.key)]

    # What it has done

    @cached_property
    def running(self) -> dict[str, int]:
        """Process ids by role."""
        return holders(self.data, ROLES)

    @cached_property
    def status(self) -> dict[str, Any] | None:
        """None before anything was delivered."""
        try:
            return asyncio.run(status(self.data))
        except (FileNotFoundError, apsw.Error):
            return None

    @cached_property
    def ledger(self) -> LedgerReader | None:
        try:
            return LedgerReader(self.data)
        except FileNotFoundError:
            return None

    @cached_property
    def sample(self) -> Sample:
        """The newest events of each source."""
        try:
            log = SqliteLogReader(self.data)
        except FileNotFoundError:
            return Sample()
        try:
            return asyncio.run(newest(log, self._events, SAMPLE_ROWS))
        finally:
            log.close()
