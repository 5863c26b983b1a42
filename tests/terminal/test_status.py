"""The state of the gateway on one page, as it looks."""

from rich.cells import cell_len
from tests.terminal.pages import a_status, an_integration, status_page


def test_all_is_well() -> None:
    reasons = {"consent_refused": 280, "field_invalid": 5, "not_mapped": 76, "sampled": 0}
    assert (
        status_page(a_status(an_integration(reasons=reasons)))
        == """\
Source       received   duplicates      refused
────────────────────────────────────────────────────────────────────────────────
web-shop        2,000           20            1

  received = delivered + filtered + dead + pending + held + retrying
────────────────────────────────────────────────────────────────────────────────
criteo  criteo-s2s  ✓ balanced  lag 0 s
     2,000 =     1,639 +      356 +    5 +       0 +    0 +        0

Reasons at criteo
────────────────────────────────────────────────────────────────────────────────
consent_refused  280  Nothing: the visitor said no, and we keep to it.
not_mapped        76  Nothing, if the vendor has no use for it; else send it
                      under a name from the vendor's event table.
field_invalid      5  Correct it where it is made and send a new event; if only
                      a setting was wrong, then replay.

Event log  1.6 MiB of at most 10.0 GiB (0.0%)
"""
    )


def test_before_anything_has_come() -> None:
    assert (
        status_page(a_status(sources=[], log={"bytes": 0, "max_bytes": 0, "full": False}))
        == """\
Source     received   duplicates      refused
────────────────────────────────────────────────────────────────────────────────
nothing has come in yet: POST events to /v1/track with a source's write key

  received = delivered + filtered + dead + pending + held + retrying
────────────────────────────────────────────────────────────────────────────────
no integration has run yet

Event log  0 B
"""
    )


def test_a_vendor_in_trouble() -> None:
    health = {
        "breaker": "open",
        "open": 31,
        "in_flight": 0,
        "since": "2026-11-22T10:02:36.000Z",
        "cause": "HTTP 503",
        "until": "2026-11-22T10:15:42.000Z",
    }
    row = an_integration(received=8000, pending=5969, retrying=31, lag_seconds=754.2, health=health)
    assert """\
criteo  criteo-s2s  ✓ balanced  lag 13 min
     8,000 =     1,639 +      356 +    5 +   5,969 +    0 +       31
  breaker    open: the vendor is in trouble since 10:02:36.000 (13 min): HTTP
             503; nothing is sent until 10:15:42.000, in 32 s. The backlog waits
             in the log
""" in status_page(a_status(row))


def test_why_items_were_refused() -> None:
    source = {"key": "web-shop", "received": 9, "duplicates": 0, "refused": 3}
    codes = {"event_too_large": 2, "invalid_timestamp": 1}
    page = status_page(a_status(sources=[source], refusals={"web-shop": codes, "tills": {"too_deep": 1}}))
    assert "too_deep" not in page
    assert "  refused    2 event_too_large, 1 invalid_timestamp: docs/collect.md#errors\n" in page


def test_a_vendor_that_asked_to_be_left_alone() -> None:
    health = {"breaker": "closed", "open": 1, "in_flight": 0, "until": "2026-11-22T10:16:10.000Z"}
    page = status_page(a_status(an_integration(retrying=1, health=health)))
    assert "  rests      the vendor asked for a rest; nothing is sent until 10:16:10.000, in" in page


def test_a_gateway_that_does_not_run_is_told_before_anything_else() -> None:
    assert status_page(a_status(an_integration(), running=[])).startswith(
        """\
! no gateway runs on this data folder: nothing is taken in and nothing is sent.
  What follows is how it was left; `firsthand serve` goes on.

Source """
    )
    assert status_page(a_status(an_integration(), running=["collect"])).startswith(
        "! only collect runs on this data folder: nothing is sent. What follows is how it\n"
    )


def test_a_sandbox_is_no_vendor() -> None:
    page = status_page(a_status(an_integration(environment="sandbox"), an_integration(key="raptor")))
    assert "criteo  criteo-s2s  sandbox  ✓ balanced" in page
    assert "raptor  criteo-s2s  ✓ balanced" in page


def test_which_events_are_not_mapped() -> None:
    names = {"not_mapped": {"Order Complete": 31, "purchase": 3}, "consent_refused": {"Page Viewed": 2}}
    page = status_page(a_status(an_integration(reasons={"not_mapped": 76, "consent_refused": 280}, names=names)))
    assert (
        """\
not_mapped        76  Nothing, if the vendor has no use for it; else send it
                      under a name from the vendor's event table.
                      Of late: Order Complete 31, purchase 3
"""
        in page
    )
    assert "Page Viewed" not in page


def test_what_is_behind_delivered_where_it_is_not_plain() -> None:
    certainties = {"accepted": 1600, "accepted_with_warnings": 30, "unverifiable": 9}
    line = "  delivered  1,600 accepted, 30 accepted with warnings, 9 unverifiable\n"
    assert line in status_page(a_status(an_integration(certainties=certainties)))


def test_counts_that_do_not_balance_are_loud() -> None:
    row = an_integration(received=2003, balanced=False)
    assert "criteo  criteo-s2s  ✗ DOES NOT BALANCE, 3 events missing  lag 0 s\n" in status_page(a_status(row))
    assert "\x1b[1;37;41m✗ DOES NOT BALANCE" in status_page(a_status(row), colour=True)
    recounted = an_integration(balanced=False, recounted=False)
    assert "✗ DOES NOT BALANCE  the rows do not give these counts" in status_page(a_status(recounted))


def test_a_full_log_is_loud() -> None:
    page = status_page(a_status(log={"bytes": 10 * 2**30, "max_bytes": 10 * 2**30, "full": True}))
    assert page.endswith("of at most 10.0 GiB (100.0%)  ✗ FULL: events are refused (503). Free disk space.\n")


def test_large_counts_fit_80_columns() -> None:
    row = an_integration(
        received=98_765_432, delivered=91_234_567, filtered=7_530_865, key="a-very-long-key-of-an-integration"
    )
    page = status_page(a_status(row, an_integration(key="raptor", vendor="raptor")))
    assert max(cell_len(line) for line in page.splitlines()) <= 80


def test_fields_that_events_were_sent_without() -> None:
    left_out = {"context.ip": 1200, **{f"properties.p{n}": 3 for n in range(6)}}
    page = status_page(a_status(an_integration(left_out=left_out)))
    assert "  left out   context.ip 1,200, properties.p0 3, " in page
    assert "properties.p3 3, and 2 more\n" in page


def test_what_waits_says_why() -> None:
    waiting = {"retrying": {"HTTP 500": 12, "timeout": 1}, "held": {"consent": 3}}
    page = status_page(a_status(an_integration(retrying=13, held=3, waiting=waiting)))
    assert "  retrying   12 HTTP 500, 1 timeout\n  held       3 consent\n" in page


def test_a_single_event_is_one() -> None:
    assert "DOES NOT BALANCE, 1 event missing" in status_page(a_status(an_integration(balanced=False, received=2001)))
