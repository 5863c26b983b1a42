"""The same file again: nothing is sent twice, and nothing is left out, whatever ended the run before."""

import asyncio
from pathlib import Path
from typing import Any

import apsw
import pytest
from tests.importing.shop import HEADER, ORDERS, Collector, Json, Notes, import_file, orders, rejects

from firsthand.importing.destination import Destination
from firsthand.importing.faults import ImportFailed
from firsthand.importing.mapping import parse
from firsthand.importing.run import Run

DAY = 86_400.0


@pytest.fixture
def file(tmp_path: Path) -> Path:
    file = tmp_path / "orders.csv"
    file.write_text(orders(3000))
    return file


def order_ids(events: list[Json]) -> list[str]:
    return [event["properties"]["order_id"] for event in events]


def stop_after(collector: Collector, requests: int) -> None:
    """The collector takes so many requests; what comes then, the import never learns of."""

    def answer(number: int, events: list[Json]) -> Any:
        if number <= requests:
            return None
        return (401, {}, {"error": {"code": "x", "message": "closed"}})

    collector.answer = answer


def run_until_stopped(file: Path, collector: Collector, requests: int, **options: Any) -> None:
    stop_after(collector, requests)
    with pytest.raises(ImportFailed, match="closed"):
        import_file(file, collector, ORDERS, **options)
    collector.answer = lambda number, events: None


def age_the_journal(file: Path, seconds: float) -> None:
    """As if the last run had been so long ago."""
    (journal,) = [*file.parent.glob("*.import-progress"), *file.parent.glob("data/imports/*.db")]
    db = apsw.Connection(str(journal))
    db.execute("UPDATE in_flight SET sent_ms = sent_ms - ?", (round(seconds * 1000),))
    db.close()


def test_a_second_run_has_nothing_to_do(file: Path, collector: Collector):
    first = import_file(file, collector, ORDERS)
    assert (first.read, first.sent, first.accepted, first.rejected) == (3000, 3000, 3000, 0)
    second = import_file(file, collector, ORDERS)
    assert second.already_imported is not None
    assert (second.read, second.total_accepted) == (0, 3000)
    assert len(collector.received) == 3000


def test_ids_are_of_the_content_and_the_line(file: Path, collector: Collector):
    """Another name, another moment: the same events. Another content: others."""
    import_file(file, collector, ORDERS)
    copy = file.with_name("copy.csv")
    copy.write_bytes(file.read_bytes())
    import_file(copy, collector, ORDERS)
    assert sorted(collector.ids[:3000]) == sorted(collector.ids[3000:])
    copy.write_text(orders(3000) + "\n")
    import_file(copy, collector, ORDERS)
    assert not set(collector.ids[:3000]) & set(collector.ids[6000:])


def test_a_run_that_was_cut_short_goes_on(file: Path, collector: Collector):
    run_until_stopped(file, collector, 3, most=100)
    assert len(collector.received) == 300
    notes = Notes()
    second = import_file(file, collector, ORDERS, notes=notes, most=100)
    assert second.finished
    assert second.total_accepted == 3000
    # At most what was on its way is sent again: four requests.
    assert 2700 <= second.read <= 2700 + 400
    assert len(set(collector.ids)) == 3000
    assert set(order_ids(collector.received)) == {f"o-{n}" for n in range(1, 3001)}
    assert any("going on at line" in note for note in notes.notes)


def test_a_run_that_goes_on_in_the_middle_of_quotes_and_empty_lines(tmp_path: Path, collector: Collector):
    file = tmp_path / "orders.csv"
    rows = [f'o-{n},"c\n{n}",2024-11-20,sku,{n}.50\n\n' for n in range(1, 501)]
    file.write_text(HEADER + "".join(rows))
    run_until_stopped(file, collector, 2, most=50)
    import_file(file, collector, ORDERS, most=70)
    assert sorted(set(order_ids(collector.received))) == sorted(f"o-{n}" for n in range(1, 501))
    lines = {event["properties"]["order_id"]: event["messageId"].rpartition("-")[2] for event in collector.received}
    assert lines == {f"o-{n}": str(3 * n - 1) for n in range(1, 501)}


def test_two_imports_of_one_file_at_a_time(file: Path, collector: Collector):
    def answer(number: int, events: list[Json]) -> Any:
        if number == 1:
            with pytest.raises(ImportFailed, match="being imported by another process"):
                import_file(file, collector, ORDERS)
        return None

    collector.answer = answer
    assert import_file(file, collector, ORDERS).accepted == 3000


def test_another_source_another_gateway_and_another_rule_for_ids_are_other_imports(file: Path, collector: Collector):
    import_file(file, collector, ORDERS)
    assert import_file(file, collector, ORDERS, source="other").accepted == 3000
    with Collector() as elsewhere:
        assert import_file(file, elsewhere, ORDERS).accepted == 3000
    second = ORDERS.replace("Order Completed", "Lead Submitted") + '  messageId: {template: "lead-{file}-{line}"}\n'
    assert import_file(file, collector, second).accepted == 3000


def test_a_file_that_changes_meanwhile(file: Path, collector: Collector):
    def answer(number: int, events: list[Json]) -> None:
        with file.open("a") as more:
            more.write("o-1,c,2024-11-20,s,1\n")

    collector.answer = answer
    with pytest.raises(ImportFailed, match=r"orders\.csv was changed during the import"):
        import_file(file, collector, ORDERS)


# -- rows set aside --------------------------------------------------------------------------------------------------


def test_rows_set_aside_are_told_once(file: Path, collector: Collector):
    """By us and by the collector, in the order of the file, also when a run was cut short in between."""
    file.write_text(orders(3000).replace(",2.50\n", ",two\n").replace(",1999.50\n", ",-,-\n"))
    refusal = {"code": "field_invalid", "path": "$.batch[5].properties.products[0].price", "message": "too odd"}
    collector.refuse = lambda event: refusal if event["properties"]["order_id"].endswith("77") else None
    run_until_stopped(file, collector, 8, most=100)
    summary = import_file(file, collector, ORDERS, most=100)
    found = list(rejects(file))
    assert [entry["line"] for entry in found] == sorted([3, *range(78, 3001, 100), 2000])
    assert summary.total_rejected == len(found) == 32
    assert found[0] == {
        "line": 3,
        "field": "properties.products[0].price",
        "code": "field_invalid",
        "reason": "'two' is not a decimal number like 1234.56",
        "raw": "o-2,c-2,2024-11-20,sku-2,two",
    }
    assert (found[1]["field"], found[1]["reason"]) == ("properties.products[0].price", "too odd")
    assert found[1]["raw"] == "o-77,c-0,2024-11-20,sku-77,77.50"
    assert import_file(file, collector, ORDERS).already_imported
    assert list(rejects(file)) == found


def test_the_file_of_rejects_is_only_made_when_there_are_some(file: Path, collector: Collector):
    import_file(file, collector, ORDERS)
    assert list(file.parent.glob("*.rejects.jsonl")) == []


def test_who_may_not_read_the_file_may_not_read_its_rejects(file: Path, collector: Collector):
    file.write_text(orders(3) + "x\n")
    file.chmod(0o600)
    import_file(file, collector, ORDERS)
    assert file.with_name("orders.csv.rejects.jsonl").stat().st_mode & 0o777 == 0o600


def test_a_corrected_mapping_takes_only_what_was_set_aside(file: Path, collector: Collector):
    """The others are events already. That holds a day later too, when the collector would take them for new ones."""
    file.write_text(orders(3000).replace("7.50\n", "7;50\n"))
    first = import_file(file, collector, ORDERS)
    assert (first.accepted, first.rejected) == (2700, 300)
    notes = Notes()
    corrected = ORDERS.replace("price: {column: price}", "price: {column: price, type: json, default: 0}")
    second = import_file(file, collector, corrected, notes=notes)
    assert (second.read, second.accepted, second.rejected) == (300, 0, 300)
    third = import_file(file, collector, ORDERS.replace("price: {column: price}", "cost: {column: price}"), notes=notes)
    assert (third.read, third.accepted, third.rejected, third.total_accepted) == (300, 300, 0, 3000)
    assert len(collector.received) == len(set(collector.ids)) == 3000
    assert list(rejects(file)) == []
    assert "2,700 rows were imported with another mapping: they are events and stay as they are" in notes.notes[0]
    assert import_file(file, collector, ORDERS).already_imported


def test_a_mapping_corrected_in_the_middle(file: Path, collector: Collector):
    """What was set aside is tried again, and what was not reached follows."""
    file.write_text(orders(3000).replace("7.50\n", "7;50\n"))
    run_until_stopped(file, collector, 10, most=100)
    corrected = ORDERS.replace("price: {column: price}", "cost: {column: price}")
    summary = import_file(file, collector, corrected, most=100)
    assert summary.total_accepted == 3000
    assert sorted(set(order_ids(collector.received))) == sorted(f"o-{n}" for n in range(1, 3001))
    assert len(collector.received) <= 3000 + 400
    assert list(rejects(file)) == []


# -- a day later -----------------------------------------------------------------------------------------------------


def test_a_day_later_far_away_it_says_what_it_cannot_know(file: Path, collector: Collector):
    run_until_stopped(file, collector, 3, most=100)
    age_the_journal(file, DAY)
    notes = Notes()
    import_file(file, collector, ORDERS, notes=notes, most=100)
    (warning,) = [note for note in notes.notes if "over 20 hours ago" in note]
    assert "this gateway's log is on another machine" in warning
    assert len(set(collector.ids)) == 3000


def test_within_a_day_it_trusts_the_collector(file: Path, collector: Collector):
    run_until_stopped(file, collector, 3, most=100)
    notes = Notes()
    import_file(file, collector, ORDERS, notes=notes)
    assert not any("over 20 hours ago" in note for note in notes.notes)


def test_stopped_by_ctrl_c_it_goes_on_too(file: Path, collector: Collector):
    """Ctrl-C cancels the run."""
    run = Run(file, parse(ORDERS), Destination("shop", collector.url, "k", None), Notes(), 100)

    async def stopped() -> None:
        task = asyncio.create_task(run.send())
        loop = asyncio.get_running_loop()

        def answer(number: int, events: list[Json]) -> None:
            if number == 6:
                loop.call_soon_threadsafe(task.cancel)

        collector.answer = answer
        await task

    with run:
        assert run.prepare()
        with pytest.raises(asyncio.CancelledError):
            asyncio.run(stopped())
        assert not run.summary.finished
    assert import_file(file, collector, ORDERS).finished
    assert len(set(collector.ids)) == 3000
