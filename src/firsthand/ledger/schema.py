"""The tables of the embedded ledger."""

SCHEMA = """
CREATE TABLE IF NOT EXISTS lanes (
    id INTEGER PRIMARY KEY, integration TEXT UNIQUE NOT NULL, vendor TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS cursors (
    lane INTEGER NOT NULL, shard INTEGER NOT NULL, position INTEGER NOT NULL,
    PRIMARY KEY (lane, shard)) WITHOUT ROWID;
-- What the log had counted of a source when the lane began to read it, less what the lane had counted before.
CREATE TABLE IF NOT EXISTS lane_sources (
    lane INTEGER NOT NULL, shard INTEGER NOT NULL, source TEXT NOT NULL, start_count INTEGER NOT NULL,
    active INTEGER NOT NULL DEFAULT 1, PRIMARY KEY (lane, shard, source)) WITHOUT ROWID;
-- The newest generation of a delivery is `latest`; a replay sets the older one's to 0. `message_id` and `event`
-- are there while the delivery needs its event (retrying, held, dead).
CREATE TABLE IF NOT EXISTS deliveries (
    lane INTEGER NOT NULL, shard INTEGER NOT NULL, position INTEGER NOT NULL, generation INTEGER NOT NULL,
    latest INTEGER NOT NULL DEFAULT 1, source TEXT NOT NULL, state TEXT NOT NULL, certainty TEXT, code TEXT,
    visitor INTEGER NOT NULL, received_ms INTEGER NOT NULL, updated_ms INTEGER NOT NULL, next_ms INTEGER,
    message_id TEXT, detail BLOB NOT NULL, event BLOB,
    PRIMARY KEY (lane, shard, position, generation)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS deliveries_open ON deliveries (lane, next_ms) WHERE state IN ('retrying', 'held');
CREATE INDEX IF NOT EXISTS deliveries_kept ON deliveries (message_id) WHERE message_id IS NOT NULL;
CREATE INDEX IF NOT EXISTS deliveries_replayed ON deliveries (lane, updated_ms) WHERE generation > 0;
CREATE TABLE IF NOT EXISTS attempts (
    id INTEGER PRIMARY KEY, lane INTEGER NOT NULL, shard INTEGER NOT NULL, position INTEGER NOT NULL,
    generation INTEGER NOT NULL, exchange BLOB NOT NULL);
CREATE INDEX IF NOT EXISTS attempts_of ON attempts (lane, shard, position, generation);
CREATE TABLE IF NOT EXISTS ranges (
    id INTEGER PRIMARY KEY, lane INTEGER NOT NULL, shard INTEGER NOT NULL, first INTEGER NOT NULL,
    last INTEGER NOT NULL, source TEXT NOT NULL, state TEXT NOT NULL, code TEXT NOT NULL, count INTEGER NOT NULL,
    replayed INTEGER NOT NULL DEFAULT 0, at_ms INTEGER NOT NULL);
DROP INDEX IF EXISTS ranges_of;
CREATE INDEX IF NOT EXISTS ranges_by_source ON ranges (lane, shard, source, last);
CREATE TABLE IF NOT EXISTS counters (
    lane INTEGER NOT NULL, shard INTEGER NOT NULL, source TEXT NOT NULL, state TEXT NOT NULL,
    certainty TEXT NOT NULL, code TEXT NOT NULL, count INTEGER NOT NULL,
    PRIMARY KEY (lane, shard, source, state, certainty, code)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS minutes (
    minute INTEGER NOT NULL, lane INTEGER NOT NULL, source TEXT NOT NULL, state TEXT NOT NULL,
    certainty TEXT NOT NULL, code TEXT NOT NULL, count INTEGER NOT NULL,
    PRIMARY KEY (minute, lane, source, state, certainty, code)) WITHOUT ROWID;
-- How many settled deliveries were sent without a field.
CREATE TABLE IF NOT EXISTS left_out (
    lane INTEGER NOT NULL, field TEXT NOT NULL, count INTEGER NOT NULL, PRIMARY KEY (lane, field)) WITHOUT ROWID;
-- Rows removed by age, so that a recount still comes out even.
CREATE TABLE IF NOT EXISTS pruned (
    lane INTEGER NOT NULL, shard INTEGER NOT NULL, source TEXT NOT NULL, state TEXT NOT NULL,
    certainty TEXT NOT NULL, code TEXT NOT NULL, count INTEGER NOT NULL,
    PRIMARY KEY (lane, shard, source, state, certainty, code)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS runs (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
"""
