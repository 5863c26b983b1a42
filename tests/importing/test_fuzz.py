"""Whatever is in a file: its rows are found where they are, from any place on, and nothing makes the reader fail."""

import csv
import io

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from firsthand.importing.delimited import DelimitedReader
from firsthand.importing.faults import ImportFailed, Reject
from firsthand.importing.format import Format
from firsthand.importing.jsonlines import JsonLinesReader
from firsthand.importing.rows import Row

CELLS = st.text(st.sampled_from('ab ü",;\n\r\t'), max_size=6)
FORMAT = Format(type="csv", header=False, columns=("a", "b", "c"))


def reader(data: bytes, format: Format = FORMAT) -> DelimitedReader:
    return DelimitedReader(io.BytesIO(data), lambda: 0.0, "fuzz.csv", format)


def well(rows: list[Row]) -> list[Row]:
    assert [row.fault for row in rows if row.fault] == []
    return rows


@given(st.lists(st.tuples(CELLS, CELLS, st.just("end")), max_size=12), st.sampled_from(["\n", "\r\n"]))
def test_what_a_csv_writer_writes_is_read_back(rows: list[tuple[str, str, str]], end: str):
    out = io.StringIO(newline="")
    csv.writer(out, lineterminator=end, quoting=csv.QUOTE_NONNUMERIC).writerows(rows)
    found = well(list((r := reader(out.getvalue().encode())).rows(r.first)))
    assert [tuple(row.cells) for row in found] == rows
    # A row's line is where it begins.
    heights = [1 + sum(cell.count("\n") for cell in row) for row in rows]
    assert [row.line for row in found] == [1 + sum(heights[:index]) for index in range(len(rows))]


@given(st.lists(st.tuples(CELLS, CELLS, st.just("end")), max_size=12))
def test_a_file_can_be_read_on_from_behind_any_row(rows: list[tuple[str, str, str]]):
    out = io.StringIO(newline="")
    csv.writer(out).writerows(rows)
    first = reader(out.getvalue().encode())
    places = [(row, first.place) for row in first.rows(first.first)]
    for index, (_, place) in enumerate(places):
        again = reader(out.getvalue().encode())
        assert [row[:2] for row in again.rows(place)] == [row[:2] for row, _ in places[index + 1 :]]


@given(st.binary(max_size=300) | st.text(st.sampled_from('a,"\n\r\0é'), max_size=80).map(str.encode))
@pytest.mark.parametrize("format", [FORMAT, Format(type="csv", delimiter="whitespace"), Format(encoding="cp1252")])
def test_any_bytes(format: Format, data: bytes):
    try:
        found = reader(data, format)
    except ImportFailed:
        return
    lines = [row.line for row in found.rows(found.first)]
    assert lines == sorted(set(lines))
    assert found.place.offset <= len(data)


@given(
    st.binary(max_size=200)
    | st.lists(st.sampled_from(['{"a":1}', "{", "", '{"a":"\udc80"}', "[]"])).map(
        lambda lines: "\n".join(lines).encode("utf-8", "surrogatepass")
    )
)
def test_any_lines_of_json(data: bytes):
    try:
        found = JsonLinesReader(io.BytesIO(data), lambda: 0.0, "fuzz.jsonl")
    except ImportFailed:
        return
    for row in found.rows(found.first):
        assert (row.fault is None) == isinstance(row.cells, dict)
        if row.fault is not None:  # it can be set aside
            msgspec.json.encode(Reject.of(row.line, row.raw, row.fault))
