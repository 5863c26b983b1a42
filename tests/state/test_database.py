"""The file: who may read it, how it is made and brought up to date, and what happens when that can't be."""

import os
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config as AlembicConfig
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from firsthand import state as package
from firsthand.config import Config
from firsthand.state import database
from firsthand.state.database import StateError
from firsthand.state.store import State
from firsthand.state.tables import metadata

Open = Callable[..., State]
Configure = Callable[..., Config]


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_only_the_owner_can_read_it(open_state: Open, tmp_path: Path) -> None:
    before = os.umask(0o000)
    try:
        open_state()
    finally:
        os.umask(before)
    assert mode(tmp_path / "data") == 0o700
    assert mode(tmp_path / "data" / "state.db") == 0o600


def test_a_folder_that_was_there_keeps_its_mode(open_state: Open, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data").chmod(0o750)
    open_state()
    assert mode(tmp_path / "data") == 0o750
    assert mode(tmp_path / "data" / "state.db") == 0o600


def test_it_has_a_rollback_journal(state: State, config: Configure, tmp_path: Path) -> None:
    state.apply(config())
    assert sqlite3.connect(tmp_path / "data" / "state.db").execute("PRAGMA journal_mode").fetchone() == ("delete",)
    assert [path.name for path in (tmp_path / "data").iterdir()] == ["state.db"]


def test_the_migrations_make_the_tables_that_queries_expect(open_state: Open) -> None:
    with open_state()._database.reading() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []


def test_the_newest_migration_is_the_one_the_code_knows() -> None:
    config = AlembicConfig()
    config.set_main_option("script_location", str(Path(package.__file__).parent / "migrations"))
    assert ScriptDirectory.from_config(config).get_current_head() == database.HEAD


def test_what_was_written_is_there_when_opened_again(open_state: Open, config: Configure) -> None:
    open_state().apply(config())
    assert [source.key for source in open_state(migrate=False).sources()] == ["app", "web-shop"]


def test_a_reader_does_not_make_a_state(open_state: Open, tmp_path: Path) -> None:
    with pytest.raises(StateError, match=r"there is no state\.db in"):
        open_state(migrate=False)
    assert not (tmp_path / "data").exists()


def test_an_older_and_a_newer_state_say_what_to_do(open_state: Open, tmp_path: Path) -> None:
    open_state()
    path = tmp_path / "data" / "state.db"
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(StateError, match="made by a newer Firsthand"):
        open_state()
    path.write_bytes(b"")
    with pytest.raises(StateError, match="made by an older Firsthand"):
        open_state(migrate=False)


def test_a_file_that_is_no_database(open_state: Open, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "state.db").write_bytes(b"not a database at all, and long enough to be looked at" * 20)
    with pytest.raises(StateError, match="file is not a database; check that it is the file of a Firsthand"):
        open_state()


def test_a_writer_that_does_not_end_is_a_clear_error(
    open_state: Open, config: Configure, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "BUSY_SECONDS", 0.05)
    state = open_state()
    other = sqlite3.connect(tmp_path / "data" / "state.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StateError, match="another firsthand command is writing"):
        state.apply(config())
    assert state.sources() == [], "readers go on meanwhile"
    other.execute("ROLLBACK")
    state.apply(config())


def test_several_processes_can_make_it_at_once(tmp_path: Path) -> None:
    program = (
        "import sys, pathlib; from firsthand.state.store import State; State.open(pathlib.Path(sys.argv[1]), True, {})"
    )
    command = [sys.executable, "-c", program, str(tmp_path / "data")]
    makers = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for _ in range(4)]
    assert [maker.communicate(timeout=60)[1] for maker in makers] == [""] * 4
    assert State.open(tmp_path / "data", vendors={}).sources() == []


def test_applies_at_the_same_time_take_turns(state: State, config: Configure) -> None:
    configs = [config(('account: "1"', f'account: "{number}"')) for number in range(1000, 1020)]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(state.apply, configs))
    assert [live.revision for live in state.integrations()] == [20, 1]
    accounts = {state.revision("cards", number).settings.account for number in range(1, 21)}
    assert accounts == {config.integrations[0].settings.account for config in configs}
