"""What the newest events say of those who send them."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.doctor.conftest import NOON, config, criteo, event, found, write_log

from firsthand.doctor import deliveries, events
from firsthand.doctor.catalogue import Catalogue, CatalogueError
from firsthand.doctor.context import Context
from firsthand.doctor.sample import newest
from firsthand.event import parse_time
from firsthand.eventlog.sqlite import SqliteLogWriter
from firsthand.eventlog.sqlite_reader import SqliteLogReader
from firsthand.ledger.sqlite import SqliteLedger

Make = Callable[..., Context]
RICH = {"ip": "203.0.113.7", "userAgent": "Mozilla/5.0", "consent": {"categories": {"marketing": True}}}


def test_before_the_first_event(context: Make) -> None:
    made = context(config(criteo()))
    assert found(events.coverage(made)) == [("ok", "events", "none yet: send one, as docs/collect.md shows")]
    assert [*events.order(made), *events.skew(made), *events.products(made), *deliveries.balance(made)] == []


def test_by_what_visitors_are_known(context: Make, tmp_path: Path) -> None:
    ids = {"ids": {"criteo_gum_id@871": "k-1"}}
    some = [
        *(event(f"a{n}", context=RICH | ids, user_id="u") for n in range(10)),
        *(event(f"b{n}", context=RICH, traits={"email": "user@example.com"}) for n in range(30)),
    ]
    write_log(tmp_path / "data", some)
    (finding,) = events.coverage(context(config(criteo())))
    assert finding.severity == "ok"
    assert finding.found == (
        "40 events: e-mail 75%, criteo_gum_id 25%, anonymousId 100%, userId 25%, ip 100%, userAgent 100%, consent 100%"
    )
    assert finding.numbers["shares"]["e-mail"] == 0.75
    assert "user@example.com" not in repr(finding)


def test_what_is_missing_is_asked_for(context: Make, tmp_path: Path) -> None:
    write_log(tmp_path / "data", [event(str(n)) for n in range(30)])
    (finding,) = events.coverage(context(config(criteo(consent={"basis": "categories"}))))
    assert finding.severity == "warning"
    assert (finding.remedy or "").split("; ") == [
        "send context.consent: criteo asks for it, and what never says it is not sent",
        "send an e-mail address in traits.email, or context.ids.criteo_gum_id",
        "pass on the visitor's own context.ip and context.userAgent where a server sends the events",
    ]


def test_a_handful_of_events_says_nothing_of_the_rest(context: Make, tmp_path: Path) -> None:
    write_log(tmp_path / "data", [event(str(n)) for n in range(3)])
    assert found(events.coverage(context(config(criteo(consent={"basis": "tcf"})))))[0][0] == "ok"


def test_clocks_that_had_to_be_repaired(context: Make, tmp_path: Path) -> None:
    write_log(tmp_path / "data", [event(str(n), original_timestamp=NOON if n % 4 == 0 else None) for n in range(40)])
    assert found(events.skew(context(config(criteo())))) == [
        ("warning", "web-shop", "25% came with a clock that was off")
    ]


def test_times_that_cannot_be_read(context: Make, tmp_path: Path) -> None:
    sent = [event(str(n), original_timestamp="22.11.2026" if n % 4 == 0 else None) for n in range(40)]
    write_log(tmp_path / "data", sent)
    assert found(events.skew(context(config(criteo())))) == [
        ("warning", "web-shop", "25.0% came with a time that can't be read, such as 22.11.2026")
    ]


def test_a_clock_that_went_back(context: Make, tmp_path: Path) -> None:
    noon = parse_time(NOON)
    for number, at in enumerate([noon, noon + 60_000, noon - 3_600_000, noon, noon - 2_000]):
        write_log(tmp_path / "data", [event(str(number))], received_ms=at)
    ((severity, title, said),) = found(events.order(context(config(criteo()))))
    assert (severity, title) == ("warning", "clock")
    assert said == "went back 1 time in the last 5 events, by up to 61 min"


def test_the_newest_of_each_source(tmp_path: Path) -> None:
    data = tmp_path / "data"
    write_log(data, [event(f"tills-{n}") for n in range(5)], "tills")
    write_log(data, [event(f"web-{n}") for n in range(30)])
    log = SqliteLogReader(data)
    whole = asyncio.run(newest(log, 10, 1_000))
    assert [one.message_id for one in whole.events["web-shop"]] == [f"web-{n}" for n in range(20, 30)]
    assert len(whole.events["tills"]) == 5
    last = asyncio.run(newest(log, 10, 12))
    assert "tills" not in last.events, "further back than is looked"
    assert 12 <= last.rows <= 13
    log.close()


def test_what_is_sent_to_no_address_of_ours_is_lost(context: Make, tmp_path: Path) -> None:
    data = tmp_path / "data"
    write_log(data, [event("a")])
    SqliteLedger(data).close()

    async def note() -> None:
        log = SqliteLogWriter(data, max_age=None)
        log.note("web-shop", "unknown_path", "/v2/track", 12)
        await log.close()

    asyncio.run(note())
    made = context(config(criteo()))
    said = "12 requests for /v2/track, which is no address of ours: what they brought is lost"
    assert found(events.lost(made)) == [("error", "web-shop", said)]


def test_ids_that_name_nobody_are_named(context: Make, tmp_path: Path) -> None:
    data = tmp_path / "data"
    write_log(data, [event("a")])
    SqliteLedger(data).close()

    async def note() -> None:
        log = SqliteLogWriter(data, max_age=None)
        log.note("web-shop", "placeholder", "undefined", 12)
        log.note("web-shop", "placeholder", "0")
        await log.close()

    asyncio.run(note())
    said = "ids that name nobody: undefined (12), 0 (1)"
    assert found(events.nobody(context(config(criteo())))) == [("warning", "web-shop", said)]


# -- product ids -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "SKU-1\nSKU-2\n",
        "id\nSKU-1\nSKU-2\n",
        "title;id;price\nLamp;SKU-1;1\nSofa;SKU-2;2\n",
        'title,g:id\n"Lamp, blue",SKU-1\nSofa,SKU-2\n',
        "id\ttitle\nSKU-1\tLamp\nSKU-2\tSofa\n",
        "<products><product><id>SKU-1</id></product><product><id> SKU-2 </id></product></products>",
        '<rss xmlns:g="http://base.google.com/ns/1.0"><channel><item><g:id>SKU-1</g:id><title>Lamp</title><g:x/></item>'
        "<item><g:id>SKU-2</g:id><title>Sofa</title><g:x/></item></channel></rss>",
    ],
)
def test_catalogues(tmp_path: Path, text: str) -> None:
    (tmp_path / "feed").write_text(text)
    catalogue = Catalogue.read(tmp_path / "feed")
    assert (len(catalogue), "SKU-1" in catalogue, "SKU-2" in catalogue) == (2, True, True)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "there are no ids in"),
        ("sku;title\n1;Lamp\n", "its columns are sku, title, and none is `id`"),
        ("<products><product>", "is no catalogue: no element found"),
    ],
)
def test_what_is_no_catalogue(context: Make, tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "feed").write_text(text)
    with pytest.raises(CatalogueError, match=said):
        Catalogue.read(tmp_path / "feed")
    for path in (tmp_path / "feed", tmp_path / "nowhere"):
        ((severity, title, _),) = found(events.products(context(config(criteo()), catalogue=path)))
        assert (severity, title) == ("error", "catalogue")


@pytest.mark.parametrize(
    ("id", "meant"),
    [
        ("sku-1", ("SKU-1", "other case")),
        ("DE-SKU-1", ("SKU-1", "prefix or suffix")),
        ("SKU-1-XL", ("SKU-1", "prefix or suffix")),
        ("4711", ("shop_4711", "prefix or suffix")),
        (" SKU-1", ("SKU-1", "blanks or zeros")),
        ("0815", ("00815", "blanks or zeros")),
        ("something else", None),
    ],
)
def test_what_an_id_was_meant_to_be(id: str, meant: tuple[str, str] | None) -> None:
    assert Catalogue({"SKU-1", "shop_4711", "00815"}).like(id) == meant


def viewed(id: str, product_id: object) -> object:
    return event(id, properties={"product_id": product_id})


@pytest.mark.parametrize(
    ("ids", "severity", "said"),
    [
        (["a", "b"], "ok", "100.0% of 2 ids are among the 3 of the catalogue"),
        (["a", "b", "C"], "warning", "66.7% of 3 ids are among the 3 of the catalogue; not: C (other case: c)"),
        (["A", "x", 7], "error", "0.0% of 3 ids are among the 3 of the catalogue; not: 7, A (other case: a), x"),
    ],
)
def test_ids_that_match_nothing(context: Make, tmp_path: Path, ids: list[object], severity: str, said: str) -> None:
    write_log(tmp_path / "data", [viewed(str(n), id) for n, id in enumerate(ids)])
    (tmp_path / "ids.txt").write_text("a\nb\nc\n")
    made = context(config(criteo()), catalogue=tmp_path / "ids.txt")
    assert found(events.products(made)) == [(severity, "web-shop product_id", said)]


def test_ids_where_the_integration_looks_for_them(context: Make, tmp_path: Path) -> None:
    order = {"products": [{"variant": {"sku": "a"}, "product_id": "x"}, {"variant": {"sku": "b"}}, "no product"]}
    write_log(tmp_path / "data", [event("1", event="Order Completed", properties=order)])
    (tmp_path / "ids.txt").write_text("a\nb\n")
    settings = {"partner_id": "71234", "mapping_key": "871", "product_id": "variant.sku"}
    made = context(config(criteo(settings=settings)), catalogue=tmp_path / "ids.txt")
    assert found(events.products(made)) == [
        ("ok", "web-shop variant.sku", "100.0% of 2 ids are among the 2 of the catalogue")
    ]
