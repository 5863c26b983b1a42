"""Orders whose lines stand in rows of their own: one sale each, a whole one or none; and rows that are no sales."""

from pathlib import Path
from typing import Any

import apsw
import pytest
from tests.importing.shop import Collector, Json, Notes, import_file, rejects

from firsthand.importing import grouping
from firsthand.importing.faults import ImportFailed
from firsthand.importing.grouping import GROUP_ROWS

HEADER = "Name,Status,Created,Email,Total,Sku,Price\n"
ALONE = """\
event:
  name: Order Completed
  userId: {column: Email}
  timestamp: {column: Created}
  properties.order_id: {column: Name}
  properties.total: {column: Total}
  properties.products:
    - {product_id: {column: Sku}, price: {column: Price}, quantity: {const: 1}}
"""
TOGETHER = ALONE + "group_by: {column: Name}\n"
PAID = TOGETHER + "where: {Status: {is: paid}}\n"


def order(number: int, lines: int = 1, status: str = "paid") -> str:
    """As Shopify writes it: what is of the order stands in its first line only."""
    first = f"#{number},{status},2024-11-20 10:00:00 +0100,{number}@example.com,{lines}.50,sku-0,1.00\n"
    return first + "".join(f"#{number},,,,,sku-{line},1.00\n" for line in range(1, lines))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "orders.csv"


def sales(collector: Collector) -> dict[str, int]:
    """How many products each order has, by its order id; each is one event, however often it was sent."""
    events = {event["messageId"]: event["properties"] for event in collector.received}.values()
    found = [(properties["order_id"], len(properties["products"])) for properties in events]
    assert len(dict(found)) == len(found)
    return dict(found)


def test_rows_that_follow_each_other_are_one_order(file: Path, collector: Collector):
    file.write_text(HEADER + order(1, 3) + order(2) + "\n" + order(3, 2))
    summary = import_file(file, collector, TOGETHER)
    assert sales(collector) == {"#1": 3, "#2": 1, "#3": 2}
    assert (summary.read, summary.accepted, summary.joined, summary.rejected) == (6, 3, 3, 0)
    first = collector.received[0]
    assert first["messageId"].endswith("-2")  # the line of its first row
    assert first["userId"] == "1@example.com"
    assert first["timestamp"] == "2024-11-20T09:00:00.000Z"
    assert first["properties"]["total"] == 3.5
    assert [product["product_id"] for product in first["properties"]["products"]] == ["sku-0", "sku-1", "sku-2"]
    assert import_file(file, collector, TOGETHER.replace("group_by: {column: Name}", "group_by: Name")).accepted == 0


def test_conditions_on_an_order_are_of_its_first_row_that_has_the_column(file: Path, collector: Collector):
    file.write_text(HEADER + order(1, 2) + order(2, 3, "refunded") + order(3, 2, " Paid"))
    summary = import_file(file, collector, PAID)
    assert sales(collector) == {"#1": 2, "#3": 2}
    assert (summary.read, summary.accepted, summary.joined, summary.skipped) == (7, 2, 2, 3)


@pytest.mark.parametrize(
    ("where", "taken"),
    [
        ("{Status: {is_not: refunded}}", ["#1", "#3", "#4"]),
        ("{Status: {is_not: [refunded, voided]}}", ["#1", "#4"]),
        ("{Status: {in: [paid, voided]}}", ["#1", "#3"]),
        ('{Status: {is: ""}}', ["#4"]),
        ('{Status: {is_not: ""}, Email: {is: 3@example.com}}', ["#3"]),
        ("{Total: {is: 1.50}, Status: {is: paid}}", ["#1"]),
        ("{Status: {is_not: paid, in: [refunded, paid]}}", ["#2"]),
    ],
)
def test_conditions(file: Path, collector: Collector, where: str, taken: list[str]):
    file.write_text(HEADER + order(1) + order(2, 1, "REFUNDED ") + order(3, 1, "voided") + order(4, 1, ""))
    import_file(file, collector, ALONE + f"where: {where}\n")
    assert list(sales(collector)) == taken


def test_a_condition_on_a_column_that_is_not_there(file: Path, collector: Collector):
    file.write_text(HEADER + order(1))
    with pytest.raises(ImportFailed, match=r"does not have the columns State \(for where\)"):
        import_file(file, collector, ALONE + "where: {State: {is: paid}}\n")


def test_a_corrected_condition_takes_what_was_left_out(file: Path, collector: Collector):
    file.write_text(HEADER + order(1, 2) + order(2, 1, "refunded") + order(3))
    assert import_file(file, collector, TOGETHER + "where: {Status: {is: payed}}\n").skipped == 4
    summary = import_file(file, collector, PAID)
    assert (summary.accepted, summary.joined, summary.total_skipped) == (2, 1, 1)
    assert sales(collector) == {"#1": 2, "#3": 1}


# -- nobody has said what repeated order ids are ----------------------------------------------------------------------


def test_lines_of_one_order_are_refused_until_the_mapping_says_what_they_are(file: Path, collector: Collector):
    file.write_text(HEADER + order(1) + order(2, 2))
    with pytest.raises(ImportFailed) as refused:
        import_file(file, collector, ALONE)
    assert "lines 3 and 4 have the same order id (Name)" in str(refused.value)
    assert "add to the mapping: group_by: {column: Name}" in str(refused.value)
    assert "group_by: false" in str(refused.value)
    assert collector.received == []
    repeated = order(1) + order(1)
    file.write_text(HEADER + repeated)
    assert import_file(file, collector, ALONE + "group_by: false\n").accepted == 2


@pytest.mark.parametrize(
    ("order_id", "refused"),
    [('{template: "shop-{Name}"}', True), ('{template: "{Name}-{line}"}', False), ("{column: Sku}", False)],
)
def test_order_ids_that_each_line_makes_for_itself(file: Path, collector: Collector, order_id: str, refused: bool):
    file.write_text(HEADER + order(1) + order(1).replace("sku-0", "sku-1"))
    mapping = ALONE.replace("order_id: {column: Name}", f"order_id: {order_id}")
    if refused:
        with pytest.raises(ImportFailed, match=r"group_by: \{column: Name\}"):
            import_file(file, collector, mapping)
    else:
        assert import_file(file, collector, mapping).accepted == 2


def test_lines_of_one_order_far_behind(file: Path, collector: Collector, monkeypatch: pytest.MonkeyPatch):
    """They stop the import in front of them: no part of that order is sent by itself."""
    monkeypatch.setattr("firsthand.importing.run.LOOK_AHEAD", 10)
    file.write_text(HEADER + "".join(order(n) for n in range(1, 200)) + order(200, 2) + order(201))
    with pytest.raises(ImportFailed, match="lines 201 and 202 have the same order id"):
        import_file(file, collector, ALONE, most=10)
    assert not {"#200", "#201"} & set(sales(collector))
    import_file(file, collector, TOGETHER, most=10)
    found = {event["properties"]["order_id"]: event for event in collector.received}
    assert len(found) == 201
    assert len(found["#200"]["properties"]["products"]) == 2


def test_a_row_of_the_future_is_set_aside(file: Path, collector: Collector):
    """As where day and month are taken for each other. A vendor would take it for a sale of now."""
    file.write_text(HEADER + order(1) + order(2).replace("2024", "2199"))
    import_file(file, collector, ALONE)
    assert sales(collector) == {"#1": 1}
    assert "is in the future" in next(rejects(file))["reason"]


# -- an order is whole, or set aside ----------------------------------------------------------------------------------


def aside(file: Path) -> list[tuple[int, str]]:
    return [(reject["line"], reject["code"]) for reject in rejects(file)]


def test_an_order_with_a_wrong_line_is_set_aside_with_all_its_lines(file: Path, collector: Collector):
    wrong = order(2, 3).replace("sku-1,1.00", "sku-1,one")
    file.write_text(HEADER + order(1, 2) + wrong + order(3))
    summary = import_file(file, collector, TOGETHER)
    assert sales(collector) == {"#1": 2, "#3": 1}
    assert (summary.read, summary.rejected, summary.total_rejected) == (6, 3, 3)
    first, bad, last = rejects(file)
    assert [first["raw"], bad["raw"], last["raw"]] == wrong.splitlines()
    assert (bad["code"], bad["field"]) == ("field_invalid", "properties.products[0].price")
    assert (first["code"], last["code"]) == ("group", "group")
    assert "line 5 can't be used" in first["reason"]
    # With a mapping that can read it, all of it is one sale.
    import_file(
        file, collector, TOGETHER.replace("price: {column: Price}", "price: {column: Price, type: json, default: 1}")
    )
    assert aside(file)
    import_file(file, collector, TOGETHER.replace("price: {column: Price}, ", ""))
    assert sales(collector) == {"#1": 2, "#3": 1, "#2": 3}
    assert aside(file) == []


def test_an_order_that_the_collector_refuses_is_set_aside_with_all_its_lines(file: Path, collector: Collector):
    file.write_text(HEADER + order(1, 2) + order(2, 2))
    no = {"code": "field_invalid", "message": "no", "path": "$.batch[0].properties"}
    collector.refuse = lambda event: no if event["properties"]["order_id"] == "#1" else None
    summary = import_file(file, collector, TOGETHER)
    assert (summary.accepted, summary.rejected, summary.joined) == (1, 2, 1)
    assert aside(file) == [(2, "field_invalid"), (3, "field_invalid")]


def test_a_row_of_nobody_knows_which_order_sets_aside_both_its_neighbours(file: Path, collector: Collector):
    """Either may be without a line of its own: a smaller sale."""
    file.write_text(HEADER + order(1) + order(2, 2) + '"open\n' + order(3, 2) + order(4))
    import_file(file, collector, TOGETHER)
    assert sales(collector) == {"#1": 1, "#4": 1}
    assert aside(file) == [(3, "group"), (4, "group"), (5, "malformed_csv"), (6, "group"), (7, "group")]


def test_a_row_with_too_many_columns_in_the_middle_of_an_order_is_that_order_s(file: Path, collector: Collector):
    file.write_text(HEADER + order(1) + order(2, 3).replace("sku-1,", "sku-1,,") + order(3))
    import_file(file, collector, TOGETHER)
    assert sales(collector) == {"#1": 1, "#3": 1}
    assert aside(file) == [(3, "group"), (4, "columns"), (5, "group")]


def test_a_row_without_a_value_to_group_by(file: Path, collector: Collector):
    """It may be another line of the order in front of it. Where it is a total, a condition leaves it out."""
    file.write_text(HEADER + order(1) + order(2) + ",,,,7.50,,\n")
    import_file(file, collector, TOGETHER)
    assert sales(collector) == {"#1": 1}
    assert [line for line, _ in aside(file)] == [3, 4]
    summary = import_file(file, collector, TOGETHER + 'where: {Name: {is_not: ""}}\n')
    assert sales(collector) == {"#1": 1, "#2": 1}
    assert (summary.skipped, summary.rejected) == (1, 0)


def test_a_group_that_is_too_large_is_set_aside_in_pieces(file: Path, collector: Collector):
    """Also where the import is cut short in the middle of it: what is left of it is no order either."""
    lines = 3 * GROUP_ROWS + 5
    file.write_text(HEADER + order(1) + order(2, lines) + order(3))
    import_file(file, collector, TOGETHER)
    assert sales(collector) == {"#1": 1, "#3": 1}
    found = list(rejects(file))
    assert [reject["line"] for reject in found] == list(range(3, 3 + lines))
    assert {reject["code"] for reject in found} == {"group"}
    assert "look whether group_by names the right column" in found[0]["reason"]


def test_a_run_cut_short_in_a_group_that_is_too_large(file: Path, collector: Collector, monkeypatch: Any):
    monkeypatch.setattr(grouping, "GROUP_ROWS", 4)
    monkeypatch.setattr("firsthand.importing.batches.BATCH_ROWS", 2)
    file.write_text(HEADER + order(1) + order(2, 10) + order(3))

    def stopped(rows: int, fraction: float) -> None:
        if rows >= 5:
            raise KeyboardInterrupt

    notes = Notes()
    notes.rows = stopped  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        import_file(file, collector, TOGETHER, notes=notes)
    summary = import_file(file, collector, TOGETHER)
    assert summary.read < 12
    assert sales(collector) == {"#1": 1, "#3": 1}
    assert [line for line, _ in aside(file)] == list(range(3, 13))


def test_a_run_cut_short_goes_on_with_whole_orders(file: Path, collector: Collector):
    file.write_text(HEADER + "".join(order(n, n % 4 + 1) for n in range(1, 400)))

    def answer(number: int, events: list[Json]) -> Any:
        return None if number <= 3 else (401, {}, {"error": {"code": "x", "message": "closed"}})

    collector.answer = answer
    with pytest.raises(ImportFailed, match="closed"):
        import_file(file, collector, TOGETHER, most=30)
    collector.answer = lambda number, events: None
    summary = import_file(file, collector, TOGETHER, most=30)
    assert summary.total_accepted == 399
    assert sales(collector) == {f"#{n}": n % 4 + 1 for n in range(1, 400)}


def test_an_order_of_which_lines_are_events_already(file: Path, collector: Collector):
    """Of an earlier mapping without groups: the rest of it is no sale of its own."""
    file.write_text(HEADER + order(1, 2))
    first = import_file(file, collector, ALONE + "group_by: false\n")
    assert (first.accepted, first.rejected) == (1, 1)
    second = import_file(file, collector, TOGETHER)
    assert (second.accepted, second.rejected) == (0, 1)
    assert "events already" in next(rejects(file))["reason"]


def test_a_journal_of_before_there_were_groups(file: Path, collector: Collector):
    file.write_text(HEADER + order(1) + order(2).replace("1.00", "one"))
    import_file(file, collector, ALONE)
    journal = file.with_name("orders.csv.import-progress")
    db = apsw.Connection(str(journal))
    db.execute("ALTER TABLE imports DROP COLUMN open_group; ALTER TABLE rejected DROP COLUMN skipped")
    db.close()
    assert import_file(file, collector, ALONE).already_imported
    assert import_file(file, collector, ALONE.replace("price: {column: Price}, ", "")).accepted == 1
