"""Readers that come while the files are made."""

from pathlib import Path

import apsw
import pytest

from firsthand.eventlog.files import open_reader


def test_a_file_without_its_tables_is_not_there_yet(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"events\.db is not there yet: it is made when `firsthand serve`"):
        open_reader(tmp_path / "events.db")
    writer = apsw.Connection(str(tmp_path / "events.db"))
    writer.pragma("journal_mode", "wal")
    with pytest.raises(FileNotFoundError, match=r"events\.db is being made just now: try again in a moment"):
        open_reader(tmp_path / "events.db")
    writer.execute("CREATE TABLE events (position)")
    open_reader(tmp_path / "events.db").close()
