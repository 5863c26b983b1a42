"""The collector in trouble: the import waits and goes on. What will never work ends it, with what to do."""

import time
from pathlib import Path
from typing import Any

import pytest
from tests.importing.shop import ORDERS, Collector, Json, Notes, import_file, orders, rejects

from firsthand.importing import collector as http
from firsthand.importing.faults import ImportFailed


@pytest.fixture
def file(tmp_path: Path) -> Path:
    file = tmp_path / "orders.csv"
    file.write_text(orders(1000))
    return file


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> list[float | None]:
    """No real waiting; what the collector asked for."""
    asked: list[float | None] = []

    def pause(tries: int, seconds: float | None) -> float:
        asked.append(seconds)
        return 0.01

    monkeypatch.setattr("firsthand.importing.sending.pause", pause)
    return asked


@pytest.mark.parametrize(
    ("reply", "asked", "said"),
    [
        (
            (429, {"retry-after": "7"}, {"error": {"code": "rate_limited", "message": "10 a second"}}),
            7.0,
            "10 a second",
        ),
        ((503, {"retry-after": "5"}, {"error": {"code": "unavailable", "message": "the disk is full"}}), 5.0, "disk"),
        ((500, {}, {"error": {"code": "internal_error", "message": "an error of ours"}}), None, "HTTP 500"),
        ((502, {}, b"<html>Bad Gateway</html>"), None, "HTTP 502"),
        ((0, {}, b""), None, "does not answer"),
    ],
)
def test_it_tries_again(file: Path, collector: Collector, quick: list[float | None], reply: Any, asked: Any, said: str):
    collector.answer = lambda number, events: reply if number in (2, 3, 4) else None
    notes = Notes()
    summary = import_file(file, collector, ORDERS, most=100, notes=notes)
    assert summary.accepted == 1000
    assert sorted(collector.ids) == sorted(set(collector.ids))
    assert quick == [asked] * 3
    assert any(said in text for text in notes.waited)
    assert notes.waited[-1] == ""


def test_nobody_listens_yet(file: Path, quick: list[float | None]):
    with Collector() as gone:
        url = gone.url
    notes = Notes()

    class Enough(Exception):
        pass

    def waiting(text: str) -> None:
        assert f"{url} does not answer" in text
        assert "Ctrl-C to stop" in text
        if len(quick) > 20:
            raise Enough

    notes.waiting = waiting  # type: ignore[method-assign]
    with pytest.raises(Enough):
        import_file(file, url, ORDERS, notes=notes)


def test_the_pause_is_what_was_asked_for_or_grows():
    assert 7.0 <= http.pause(0, 7.0) < 8
    assert http.pause(0, 1e9) < 700
    assert 0.2 <= http.pause(0, None) <= 0.5
    assert 15 <= http.pause(20, None) <= 30


@pytest.mark.parametrize(
    ("reply", "said"),
    [
        ((401, {}, {"error": {"code": "invalid_write_key", "message": "no source"}}), "write key: HTTP 401: no source"),
        ((403, {}, {"error": {"code": "x", "message": "no"}}), "write key: HTTP 403: no"),
        ((404, {}, b"nothing"), "there is no collector at http"),
        ((301, {"location": "https://collect.example/v1/batch"}, b""), "address it names with --url: https://collect"),
        ((200, {}, b"<html>welcome</html>"), "answers, but not as a collector of Firsthand does"),
        ((200, {}, {"success": True}), "answers, but not as a collector of Firsthand does"),
        ((400, {}, b"bad"), "refuses the requests: HTTP 400"),
        ((413, {}, b"too large"), "takes no request so large (HTTP 413): not even line 2 by itself"),
    ],
)
def test_it_ends(file: Path, collector: Collector, reply: Any, said: str):
    collector.answer = lambda number, events: reply
    with pytest.raises(ImportFailed) as error:
        import_file(file, collector, ORDERS)
    assert said in str(error.value)
    collector.answer = lambda number, events: None
    assert import_file(file, collector, ORDERS).total_accepted == 1000


def test_a_proxy_that_takes_small_requests_only(file: Path, collector: Collector):
    collector.answer = lambda number, events: (413, {}, b"too large") if len(events) > 130 else None
    assert import_file(file, collector, ORDERS).accepted == 1000
    assert len(collector.received) == len(set(collector.ids)) == 1000


def test_one_event_that_makes_requests_unreadable(file: Path, collector: Collector):
    """It is found by halves, and set aside with what the collector said."""

    def answer(number: int, events: list[Json]) -> Any:
        if any(event["properties"]["order_id"] == "o-321" for event in events):
            return 400, {}, {"success": False, "error": {"code": "too_deep", "message": "no deeper", "path": "$"}}
        return None

    collector.answer = answer
    summary = import_file(file, collector, ORDERS)
    assert (summary.accepted, summary.rejected) == (999, 1)
    (entry,) = rejects(file)
    assert (entry["line"], entry["code"], entry["reason"]) == (322, "too_deep", "no deeper")


def test_a_batch_of_which_everything_is_refused(file: Path, collector: Collector):
    collector.refuse = lambda event: {"code": "field_invalid", "message": "no", "path": None}
    summary = import_file(file, collector, ORDERS)
    assert (summary.accepted, summary.rejected) == (0, 1000)
    assert len(list(rejects(file))) == 1000


def test_few_requests_at_a_time(file: Path, collector: Collector):
    under_way, most = 0, 0

    def answer(number: int, events: list[Json]) -> None:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        collector._lock.release()  # the others may come meanwhile
        time.sleep(0.02)
        collector._lock.acquire()
        under_way -= 1

    collector.answer = answer
    import_file(file, collector, ORDERS, most=50)
    assert 2 <= most <= 4
    assert collector.keys == {"Bearer key-1"}


def test_requests_keep_to_the_collectors_limits(tmp_path: Path, collector: Collector):
    file = tmp_path / "notes.csv"
    file.write_text("event,timestamp,userId,properties.note\n" + f"Noted,2024-11-20,7,{'x' * 20_000}\n" * 100)
    import_file(file, collector)
    assert len(collector.received) == 100
    assert max(collector.sizes) * 20_000 <= 500_000
