"""Files as they are in the world: with and without quotes, BOM, CRLF, broken lines, packed, and of four kinds."""

import gzip
import json
from pathlib import Path
from typing import Any

import duckdb
import pytest
from tests.importing.shop import ORDERS, Collector, import_file, orders, rejects

from firsthand.importing.delimited import RECORD_BYTES
from firsthand.importing.faults import ImportFailed
from firsthand.importing.lines import LINE_BYTES

NOTE = "event: {name: Noted, timestamp: now, userId: {column: id}, properties.note: {column: note}}"


def notes(tmp_path: Path, collector: Collector, text: str | bytes, mapping: str = NOTE) -> dict[int, Any]:
    """The column `note` of the rows that became events, by line."""
    file = tmp_path / "notes.csv"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    import_file(file, collector, mapping)
    return {int(e["messageId"].rpartition("-")[2]): e.get("properties", {}).get("note") for e in collector.received}


def test_quotes_delimiters_and_line_ends_inside_fields(tmp_path: Path, collector: Collector):
    """The line of a row is its first one."""
    text = 'id,note\r\n1,"a, b"\r\n2,"said ""hi"""\r\n3,"two\r\nlines"\r\n4,5" pipe\r\n5,""\r\n'
    assert notes(tmp_path, collector, text) == {2: "a, b", 3: 'said "hi"', 4: "two\r\nlines", 6: '5" pipe', 7: None}


def test_a_byte_order_mark_and_empty_lines(tmp_path: Path, collector: Collector):
    assert notes(tmp_path, collector, b"\xef\xbb\xbfid,note\n\n1,a\n  \n2,b") == {3: "a", 5: "b"}


def test_a_quote_that_is_not_closed_costs_one_row(tmp_path: Path, collector: Collector):
    text = 'id,note\n1,"open\n2,b\n3,"c"d\n4,e\n'
    assert notes(tmp_path, collector, text) == {3: "b", 5: "e"}
    first, second = rejects(tmp_path / "notes.csv")
    assert (first["line"], first["code"], first["reason"]) == (2, "malformed_csv", "a quoted field is not closed")
    assert (second["line"], second["raw"]) == (4, '3,"c"d')
    assert "this is not CSV" in second["reason"]


def test_a_quote_that_is_not_closed_in_a_long_file(tmp_path: Path, collector: Collector):
    """It is not followed to the end of the file."""
    rest = "".join(f"{n},{'x' * 90}\n" for n in range(3 * RECORD_BYTES // 100))
    found = notes(tmp_path, collector, f'id,note\n0,"open\n{rest}')
    assert len(found) == 3 * RECORD_BYTES // 100
    assert [reject["line"] for reject in rejects(tmp_path / "notes.csv")] == [2]


def test_a_carriage_return_inside_a_line(tmp_path: Path, collector: Collector):
    assert notes(tmp_path, collector, 'id,note\n1,a\rb\n2,"c",d\re\n3,"f\rg"\n') == {4: "f\rg"}
    assert all("CR inside the line" in reject["reason"] for reject in rejects(tmp_path / "notes.csv"))


def test_rows_that_are_no_text(tmp_path: Path, collector: Collector):
    text = b'id,note\n1,caf\xe9\n2,nul\0\n3,"two\nl\xefnes"\n4,ok\n'
    assert notes(tmp_path, collector, text) == {6: "ok"}
    found = list(rejects(tmp_path / "notes.csv"))
    assert [(reject["line"], reject["code"]) for reject in found] == [(n, "invalid_text") for n in (2, 3, 4)]
    assert found[0]["reason"] == "byte 6 is not utf-8: see format.encoding"
    assert found[0]["raw"] == "1,caf\\xe9"


def test_another_encoding(tmp_path: Path, collector: Collector):
    mapping = "format: {encoding: cp1252}\n" + NOTE
    assert notes(tmp_path, collector, b'id,note\n1,caf\xe9 5\x80\n2,"\xfc"\n', mapping) == {2: "café 5€", 3: "ü"}


def test_rows_with_columns_too_many_or_too_few(tmp_path: Path, collector: Collector):
    assert notes(tmp_path, collector, "id,note\n1\n2,b\n3,c,d\n") == {3: "b"}
    first, second = rejects(tmp_path / "notes.csv")
    assert first == {
        "line": 2,
        "field": None,
        "code": "columns",
        "reason": "1 columns where 2 are expected",
        "raw": "1",
    }
    assert second["line"] == 4


def test_a_line_that_never_ends(tmp_path: Path, collector: Collector):
    text = f"id,note\n1,{'x' * (3 * LINE_BYTES)}\n2,b\n"
    assert notes(tmp_path, collector, text) == {3: "b"}
    (reject,) = rejects(tmp_path / "notes.csv")
    assert reject["code"] == "too_long"
    assert len(reject["raw"]) < 40_000


def test_an_event_that_is_too_large(tmp_path: Path, collector: Collector):
    assert notes(tmp_path, collector, f"id,note\n1,{'x' * 33_000}\n2,b\n") == {3: "b"}
    (reject,) = rejects(tmp_path / "notes.csv")
    assert (reject["line"], reject["code"]) == (2, "event_too_large")


def test_blanks(tmp_path: Path, collector: Collector):
    mapping = "format: {type: csv, delimiter: whitespace, header: false, columns: [id, note]}\n" + NOTE
    assert notes(tmp_path, collector, "  1   a\r\n2\tb \r\n\r\n3 c d\r\n4 ü\u00a0ö\r\n", mapping) == {
        1: "a",
        2: "b",
        5: "ü\u00a0ö",
    }


def test_tabs(tmp_path: Path, collector: Collector):
    (tmp_path / "notes.tsv").write_text("id\tnote\n1\ta, b\n")
    import_file(tmp_path / "notes.tsv", collector, NOTE)
    assert collector.received[0]["properties"] == {"note": "a, b"}


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (b"", "is empty: there is no header"),
        (b"id,no\xffte\n1,a\n", "the header of notes.csv can't be read"),
        ("id,note\n1,a\n".encode("utf-16"), "is UTF-16"),
        (b"id,note\r1,a\r", "can't be read: there is a CR inside the line"),
    ],
)
def test_files_that_cannot_be_read_at_all(tmp_path: Path, collector: Collector, text: bytes, why: str):
    with pytest.raises(ImportFailed, match=why):
        notes(tmp_path, collector, text)


def test_a_file_that_does_not_say_what_it_is(tmp_path: Path, collector: Collector):
    (tmp_path / "orders").write_text(orders(1))
    with pytest.raises(ImportFailed, match="orders doesn't say what it is"):
        import_file(tmp_path / "orders", collector, ORDERS.replace("{type: csv}", "{}"))
    import_file(tmp_path / "orders", collector, ORDERS)
    assert len(collector.received) == 1


def test_packed_files(tmp_path: Path, collector: Collector):
    file = tmp_path / "orders.csv.gz"
    file.write_bytes(gzip.compress(orders(1200).encode()))
    assert import_file(file, collector, ORDERS).accepted == 1200
    damaged = tmp_path / "damaged.csv.gz"
    damaged.write_bytes(gzip.compress(orders(1200, first=5000).encode())[:-2000])
    with pytest.raises(ImportFailed, match=r"damaged\.csv\.gz can't be read: Compressed file ended"):
        import_file(damaged, collector, ORDERS)


# -- without a mapping -----------------------------------------------------------------------------------------------


def test_a_header_of_canonical_names(tmp_path: Path, collector: Collector):
    """Known numbers and consents are what they are; everything else is text."""
    (tmp_path / "orders.csv").write_text(
        "event,anonymousId,timestamp,properties.order_id,properties.products.0.product_id,properties.products.0.price,"
        "properties.products.1.product_id,properties.products.1.price,context.consent.gpc\n"
        "Order Completed,0042,2024-11-20T10:00:00+01:00,007,a,1.50,,,false\n"
    )
    assert import_file(tmp_path / "orders.csv", collector).accepted == 1
    event = collector.received[0]
    del event["messageId"]
    assert event == {
        "type": "track",
        "event": "Order Completed",
        "anonymousId": "0042",
        "timestamp": "2024-11-20T09:00:00.000Z",
        "properties": {"order_id": "007", "products": [{"product_id": "a", "price": 1.5}]},
        "context": {"consent": {"gpc": False}},
    }


def test_columns_that_are_no_fields(tmp_path: Path, collector: Collector):
    (tmp_path / "orders.csv").write_text(orders(1))
    with pytest.raises(ImportFailed, match="columns that are no fields of an event: order, customer, day, sku, price"):
        import_file(tmp_path / "orders.csv", collector)


def test_a_header_without_the_event_s_name(tmp_path: Path, collector: Collector):
    (tmp_path / "orders.csv").write_text("userId,timestamp\n7,2024-11-20\n")
    with pytest.raises(ImportFailed, match="no name: add a column event, or say --event NAME"):
        import_file(tmp_path / "orders.csv", collector)
    assert import_file(tmp_path / "orders.csv", collector, event="Signed In").accepted == 1
    assert collector.received[0]["event"] == "Signed In"


def test_canonical_events_go_as_they_are(tmp_path: Path, collector: Collector):
    """But for `sentAt`: by it the collector would take a file of last year for a clock that is a year behind. Those
    without a time of their own are set aside: they did not happen now."""
    event = {
        "type": "track",
        "event": "Order Completed",
        "messageId": "m-1",
        "userId": "7",
        "timestamp": "2025-01-01T00:00:00Z",
        "properties": {"total": 1.5, "nested": {"list": [None, "ü"]}},
    }
    rest = [
        {"type": "page", "anonymousId": "a", "originalTimestamp": "2025-01-02T00:00:00Z"},
        {"event": "X", "userId": 1, "timestamp": "2025-01-02"},
        {"event": "X", "userId": 2},
        {"event": "X", "userId": 3, "timestamp": "yesterday"},
    ]
    lines = [event | {"sentAt": "2025-01-01T00:00:01Z"}, *rest]
    (tmp_path / "events.jsonl").write_text("\n".join(map(json.dumps, lines)) + "\n")
    summary = import_file(tmp_path / "events.jsonl", collector)
    assert (summary.accepted, summary.rejected) == (3, 2)
    assert [(r["line"], r["code"], r["field"]) for r in rejects(tmp_path / "events.jsonl")] == [
        (4, "field_missing", "timestamp"),
        (5, "field_invalid", "timestamp"),
    ]
    first, page, track = collector.received
    assert first == event
    assert page["timestamp"] == "2025-01-02T00:00:00Z"
    assert track["type"] == "track"
    assert track["messageId"].endswith("-3")


def test_lines_that_are_no_json_objects(tmp_path: Path, collector: Collector):
    deep = '{"type": "page", "userId": "1", "properties": ' + '{"a":' * 5000 + "1" + "}" * 5001
    lines = [
        "{",
        "[1]",
        '"x"',
        '{"type": "page", "userId": "1", "timestamp": "2024-11-20"} x',
        deep,
        '{"type": "page", "userId": "\\ud800"}',
        '{"timestamp": "2024-11-20"}',
    ]
    (tmp_path / "events.jsonl").write_text(
        '{"type": "page", "userId": "1", "timestamp": "2024-11-20"}\n' + "\n".join(lines) + "\n"
    )
    collector.refuse = lambda event: None if "type" in event else {"code": "invalid_type", "message": "no type"}
    import_file(tmp_path / "events.jsonl", collector)
    assert len(collector.received) == 1
    found = [(reject["line"], reject["code"]) for reject in rejects(tmp_path / "events.jsonl")]
    malformed = [(n, "malformed_json") for n in (2, 3, 4, 5)]
    assert found == [*malformed, (6, "too_deep"), (7, "malformed_json"), (8, "invalid_type")]


def test_a_file_that_is_one_json_list(tmp_path: Path, collector: Collector):
    (tmp_path / "events.json").write_text('[{"type": "page"},\n {"type": "page"}]\n')
    with pytest.raises(ImportFailed, match=r"one JSON list: make it lines first, as with jq -c '\.\[\]'"):
        import_file(tmp_path / "events.json", collector)


# -- Parquet ---------------------------------------------------------------------------------------------------------


def parquet(path: Path, select: str) -> Path:
    duckdb.sql(f"COPY ({select}) TO '{path}' (FORMAT parquet)")
    return path


def test_parquet(tmp_path: Path, collector: Collector):
    """Types are those of the file; a line is a row's number."""
    file = parquet(
        tmp_path / "orders [1].parquet",
        """SELECT 42.0::DOUBLE customer, TIMESTAMP '2024-11-20 10:00' happened, 1.50::DECIMAL(9, 2) price,
        [{'product_id': 'a', 'price': 2.25::DOUBLE}] lines, {'id': 'N'} shop, NULL::INTEGER none, 'nan'::DOUBLE nan,
        DATE '2024-12-24' due""",
    )
    mapping = """
      event:
        name: Order Completed
        userId: {column: customer}
        timestamp: {column: happened, zone: Europe/Paris}
        properties: {total: {column: price}, products: {column: lines}, shop: {column: shop.id}, due: {column: due},
                     none: {column: none}, nan: {column: nan}}
    """
    assert import_file(file, collector, mapping).accepted == 1
    event = collector.received[0]
    assert event.pop("messageId").endswith("-1")
    assert event == {
        "type": "track",
        "event": "Order Completed",
        "userId": "42",
        "timestamp": "2024-11-20T09:00:00.000Z",
        "properties": {
            "total": 1.5,
            "products": [{"product_id": "a", "price": 2.25}],
            "shop": "N",
            "due": "2024-12-24",
        },
    }


def test_parquet_with_canonical_names_and_a_bad_row(tmp_path: Path, collector: Collector):
    file = parquet(
        tmp_path / "o.parquet",
        "SELECT 'Order Completed' \"event\", DATE '2024-11-20' \"timestamp\","
        " i \"userId\", CASE i WHEN 2 THEN 'x' ELSE '1.5' END \"properties.total\","
        " 'bytes'::BLOB \"properties.blob\" FROM range(1, 4) t(i)",
    )
    summary = import_file(file, collector)
    assert (summary.accepted, summary.rejected) == (2, 1)
    assert [event["userId"] for event in collector.received] == ["1", "3"]
    (reject,) = rejects(file)
    assert (reject["line"], reject["field"]) == (2, "properties.total")
    assert json.loads(reject["raw"])["userId"] == 2


def test_what_is_no_parquet(tmp_path: Path, collector: Collector):
    (tmp_path / "o.parquet").write_text("no")
    with pytest.raises(ImportFailed, match=r"o\.parquet can't be read as Parquet"):
        import_file(tmp_path / "o.parquet", collector)
