"""The page of one event, as it looks."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from tests.terminal.pages import GOOD, Json, a_delivery, a_trace, an_attempt, trace_page


def part(page: str, integration: str = "criteo") -> str:
    """The page from an integration on."""
    return page[page.index(f"\n{integration}  ") + 1 :]


def test_an_event_whose_visitor_was_erased() -> None:
    """Nothing untrue: not that no consent was given, nor that an answer was empty."""
    event = a_trace(a_delivery(attempts=[an_attempt()]), context={"erased": True})
    del event["event"]["event"], event["event"]["anonymousId"]
    page = trace_page(event)
    assert "visitor    was erased, and with them what the event said and what was sent of it\n\n" in page
    assert "the event says nothing of it" not in page
    assert "(an empty answer)" not in page
    assert "DELIVERED  the vendor accepted it" in page
    assert "200\n" in page


def test_a_dead_event_whose_visitor_was_erased_is_not_to_be_replayed() -> None:
    dead = a_delivery(state="dead", reason={"code": "field_invalid", "field": "properties.price", "message": None})
    page = trace_page(a_trace(dead, context={"erased": True}))
    assert "DEAD  field_invalid" in page
    assert "replay" not in page


def test_a_delivered_event() -> None:
    event = a_trace(
        a_delivery(attempts=[an_attempt(body=GOOD)]),
        userId="customer-7",
        traits={"email": "a***@example.com"},
        timestamp="2026-11-22T09:30:00.000Z",
        context={
            "ip": "203.0.113.***",
            "ids": {"criteo_gum_id": "k-1f3a"},
            "page": {"url": "https://shop.example/thanks"},
            "consent": {"categories": {"marketing": True, "analytics": False}, "gpc": False},
        },
    )
    assert (
        trace_page(event)
        == """\
Order Completed  track
────────────────────────────────────────────────────────────────────────────────
message    sale-1
received   2026-11-22 10:15:00.000 UTC from web-shop
happened   2026-11-22 09:30:00.000 UTC, 45 min earlier
visitor    anonymousId visitor-1
           userId customer-7
           email a***@example.com
           criteo_gum_id k-1f3a
           ip 203.0.113.***
consent    categories: marketing yes, analytics no; Global Privacy Control off
page       https://shop.example/thanks
says       {
             "order_id": "W-1",
             "products": [{"product_id": "tent-2p", "price": "12,50"}]
           }

criteo  criteo-s2s
  ✓ DELIVERED  the vendor accepted it  10:15:00.050
  consent    allow, by categories: marketing
  mapping    Order Completed → trackTransaction  (revision 3)
  attempts
     1  10:15:00.010   41 ms  POST widget.eu.criteo.com/m/event              200
                              {"errors": [], "warnings": []}
  payload
    {"account": "12345", "events": [{"event": "trackTransaction", "id": "W-1"}]}
"""
    )


def test_what_the_sandbox_took_no_vendor_has_seen() -> None:
    page = part(trace_page(a_trace(a_delivery(environment="sandbox"))))
    assert page.startswith("criteo  criteo-s2s  sandbox\n  ✓ DELIVERED  accepted in the sandbox  10:15:00.050\n")


def test_what_was_known_of_the_visitor_beyond_the_event() -> None:
    known = {"criteo_gum_id": "k-1f3a", "email": "a***@example.com", "user_id": "customer-7"}
    page = part(trace_page(a_trace(a_delivery(identity=known))))
    assert (
        """\
  consent    allow, by categories: marketing
  known      criteo_gum_id k-1f3a, email a***@example.com, user_id customer-7
  mapping    Order Completed → trackTransaction  (revision 3)
"""
        in page
    )
    assert "known" not in part(trace_page(a_trace(a_delivery())))


def test_what_may_have_gone_before_says_so() -> None:
    page = trace_page(a_trace(a_delivery(maybe_sent_before=True)))
    assert "  again      a process that died may have sent it before; what came of that is" in page
    assert "again" not in trace_page(a_trace(a_delivery(maybe_sent_before=False)))


def test_an_image_as_answer_is_not_printed() -> None:
    image = {
        "status": 200,
        "headers": {"content-type": "image/gif"},
        "body": "GIF89a\x01\x00\ufffd\x00",
        "body_bytes": 43,
    }
    page = trace_page(a_trace(a_delivery(attempts=[an_attempt(response=image)])))
    assert "                              (43 bytes, image/gif)\n" in page
    assert "GIF89a" not in page
    words = image | {"body": "caf\u00e9\n  zu", "headers": {}}
    assert "  caf\u00e9 zu\n" in trace_page(a_trace(a_delivery(attempts=[an_attempt(response=words)])))


def test_in_an_outage_nothing_is_tried_until_the_breaker_lets_it() -> None:
    paused = {"by": "trouble", "since": "2026-11-22T10:14:50.000Z", "cause": "HTTP 503", "until": None}
    delivery = a_delivery("retrying", attempts=[an_attempt(status=503)], next_attempt_at="2026-11-22T10:15:01.000Z")
    page = part(trace_page(a_trace(delivery | {"paused": paused | {"until": "2026-11-22T10:15:42.000Z"}})))
    assert page.endswith("""\
  paused     the vendor is in trouble since 10:14:50.000 (20 s): HTTP 503;
             nothing is sent until 10:15:42.000, in 32 s
  payload
    {"account": "12345", "events": [{"event": "trackTransaction", "id": "W-1"}]}
""")
    assert "next attempt" not in page
    due = part(trace_page(a_trace(delivery | {"paused": paused})))
    assert "HTTP 503; it is\n             tried just now\n" in due


def test_where_nobody_delivers_nothing_is_tried() -> None:
    delivery = a_delivery("retrying", attempts=[an_attempt(status=503)], next_attempt_at="2026-11-22T10:15:01.000Z")
    page = part(trace_page(a_trace(delivery | {"paused": {"by": "stopped"}})))
    assert (
        """\
  paused     no gateway delivers on this data folder: it waits until `firsthand
             serve` runs
"""
        in page
    )
    assert "next attempt" not in page


def test_a_dead_event_says_what_was_found_and_what_to_do() -> None:
    reason = {
        "code": "field_invalid",
        "field": "properties.products[0].price",
        "message": "properties.products[0].price must be a number such as 49.99: 0, or from 0.00001 below 1e15",
    }
    assert (
        part(trace_page(a_trace(a_delivery("dead", reason=reason, revision=None))))
        == """\
criteo  criteo-s2s
  ✗ DEAD  field_invalid  10:15:00.050
  why        properties.products[0].price must be a number such as 49.99: 0, or
             from 0.00001 below 1e15
  it is      "12,50"
  do         Correct it where it is made and send a new event; if only a setting
             was wrong, then replay.
  replay     firsthand replay --integration criteo --message-id sale-1
  consent    allow, by categories: marketing
  mapping    Order Completed → trackTransaction
  attempts   none: no request was made
"""
    )


def test_a_command_too_long_for_a_line_can_still_be_copied() -> None:
    reason = {"code": "attempts_exhausted", "field": None, "message": None}
    event = a_trace(a_delivery("dead", reason=reason, integration="criteo-production"))
    event["message_id"] = "2dbdce51-2183-4e54-8284-1b8b3850f8c2"
    assert """\
  replay     firsthand replay --integration criteo-production \\
               --message-id 2dbdce51-2183-4e54-8284-1b8b3850f8c2
""" in trace_page(event)


def test_commands_name_the_data_folder_that_the_user_had_to_name() -> None:
    reason = {"code": "attempts_exhausted", "field": None, "message": None}
    event = a_trace(a_delivery("dead", reason=reason))
    assert """\
  replay     firsthand replay --integration criteo \\
               --message-id sale-1 \\
               --data '/var/lib/my shop'
""" in trace_page(event, data=Path("/var/lib/my shop"))
    assert "--message-id sale-1 --data d\n" in trace_page(event, data=Path("d"))


def test_a_refusal_is_told_once() -> None:
    detail = "vendor 91 not granted, purposes 1 3 4 not granted"
    delivery = a_delivery(
        "filtered",
        reason={"code": "consent_refused", "field": "context.consent", "message": f"tcf: {detail}"},
        consent={"decision": "refuse", "basis": "tcf", "detail": detail},
        revision=None,
    )
    consent = {"tcf": {"gdprApplies": True, "tcString": "CO_7cUEO_7cUEAGABCENBICgAAAA.YAAA"}}
    page = trace_page(a_trace(delivery, context={"consent": consent}))
    assert "consent    TCF: GDPR applies, CO_7cUEO_7cUEAGABCENBIC…\n" in page
    assert (
        part(page)
        == """\
criteo  criteo-s2s
  – FILTERED  consent_refused  10:15:00.050
  why        tcf: vendor 91 not granted, purposes 1 3 4 not granted
  do         Nothing: the visitor said no, and we keep to it.
  mapping    Order Completed → trackTransaction
  attempts   none: no request was made
"""
    )


def test_redirects_stand_under_their_attempt_and_failures_say_whether_it_may_have_arrived() -> None:
    entry = {
        "method": "POST",
        "url": "https://widget.criteo.com/m/event?version=s2s_v0",
        "headers": {},
        "body": {"a": 1},
    }
    redirect = {"status": 307, "headers": {"location": "https://widget.eu.criteo.com/m/event"}, "body": ""}
    cut = {"cause": "cut", "sent": True, "message": "connection closed before message completed"}
    refused = {"cause": "connect", "sent": False, "message": "tcp connect error; Connection refused"}
    attempts = [
        an_attempt("10:15:00.010", request=entry, response=redirect),
        an_attempt("10:15:00.020", hop=1, status=None, error=cut),
        an_attempt("10:15:01.000", status=None, error=refused),
        an_attempt("10:15:05.000", 503, "<html>\n  busy</html>", duration_ms=10_400),
    ]
    delivery = a_delivery("retrying", attempts=attempts, next_attempt_at="2026-11-22T10:15:14.500Z")
    assert part(trace_page(a_trace(delivery))).startswith("""\
criteo  criteo-s2s
  ↻ RETRYING  10:15:00.050
  consent    allow, by categories: marketing
  mapping    Order Completed → trackTransaction  (revision 3)
  attempts
     1  10:15:00.010   41 ms  POST widget.criteo.com/m/event                 307
        10:15:00.020   41 ms  ↳ widget.eu.criteo.com/m/event                 cut
                              it may have arrived: connection closed before
                              message completed
     2  10:15:01.000   41 ms  POST widget.eu.criteo.com/m/event          connect
                              nothing was sent: tcp connect error; Connection
                              refused
     3  10:15:05.000  10.4 s  POST widget.eu.criteo.com/m/event              503
                              <html> busy</html>
             next attempt in 4 s, at 10:15:14.500
  payload, as last sent; earlier attempts sent another
""")


def test_many_attempts_are_folded() -> None:
    attempts = [an_attempt(f"10:15:{n:02}.000", 500, "Internal Server Error") for n in range(20)]
    page = trace_page(a_trace(a_delivery("dead", attempts=attempts)))
    assert [line[:6].strip() for line in page.splitlines() if " POST " in line] == ["1", "2", "18", "19", "20"]
    assert "        … 15 more attempts\n" in page


def test_a_held_event_says_until_when() -> None:
    consent = {"decision": "hold", "basis": "categories", "detail": "marketing not known yet"}
    delivery = a_delivery("held", consent=consent, revision=None, next_attempt_at="2026-11-22T10:30:00.000Z")
    page = trace_page(a_trace(delivery, context={}))
    assert "consent    the event says nothing of it\n" in page
    assert (
        part(page)
        == """\
criteo  criteo-s2s
  ‖ HELD  10:15:00.050
  waits      for the visitor's answer, until 10:30:00.000, in 15 min
  consent    hold, by categories: marketing not known yet
  mapping    Order Completed → trackTransaction
"""
    )


def test_an_event_that_waits_for_the_vendors_id_says_so() -> None:
    reason = {"code": "waiting_for_id", "field": "context.ids.criteo_gum_id", "message": "no id is known yet"}
    page = trace_page(a_trace(a_delivery("held", reason=reason, next_attempt_at="2026-11-22T10:30:00.000Z")))
    assert "  ‖ HELD  waiting_for_id  10:15:00.050\n" in page
    assert "  waits      for the visitor's id at the vendor, until 10:30:00.000, in 15 min\n" in page


def test_an_event_whose_turn_has_not_come() -> None:
    """A lane that has not read it yet knows next to nothing of it."""
    waiting = {
        "integration": "criteo",
        "vendor": "criteo-s2s",
        "generation": 0,
        "superseded": False,
        "state": "pending",
        "certainty": None,
        "reason": None,
        "revision": None,
        "consent": None,
        "attempts": [],
    }
    assert (
        part(trace_page(a_trace(waiting)))
        == """\
criteo  criteo-s2s
  … PENDING  its turn has not come yet
  mapping    Order Completed → trackTransaction
"""
    )


def test_a_replay_folds_what_it_took_the_place_of() -> None:
    reason = {"code": "attempts_exhausted", "field": None, "message": "100 attempts were made; last: HTTP 500"}
    before = a_delivery("dead", reason=reason, superseded=True, attempts=[an_attempt(status=500)] * 2)
    after = a_delivery(generation=1, updated_at="2026-11-23T08:00:00.000Z", attempts=[an_attempt(body=GOOD)])
    page = part(trace_page(a_trace(before, after)))
    assert "  ✓ DELIVERED  the vendor accepted it  2026-11-23 08:00:00.000  replay 1\n" in page
    assert page.endswith("""\
  before     dead attempts_exhausted, 2026-11-22 10:15:00.050 UTC, 2 attempts;
             then it was replayed
""")


def test_each_integration_has_its_part() -> None:
    page = trace_page(a_trace(a_delivery(), a_delivery("filtered", integration="raptor", vendor="gone")))
    assert part(page).startswith("criteo  criteo-s2s\n  ✓ DELIVERED")
    assert part(page, "raptor").startswith("raptor  gone\n  – FILTERED")
    assert "Order Completed → an event of a vendor that is no longer installed" in page


def test_an_event_that_no_integration_takes() -> None:
    assert trace_page(a_trace()).endswith("""\
           No integration takes events from this source, or none had been set up
           when it came.
""")


def test_several_requests_are_numbered_and_a_get_shows_its_query() -> None:
    requests = [
        {"method": "GET", "url": f"https://t.example/42.rsa?p1=buy&p2=tent&data=%7B%22line%22%3A{n}%7D", "headers": {}}
        for n in (1, 2)
    ]
    attempts = [an_attempt(request=request, request_index=n) for n, request in enumerate(requests)]
    page = trace_page(a_trace(a_delivery(certainty="unverifiable", attempts=attempts)))
    assert "  ✓ DELIVERED  unverifiable: the vendor's answer proves nothing  10:15:00.050\n" in page
    assert "     2  10:15:00.010   41 ms  request 2: GET t.example/42.rsa                200\n" in page
    assert page.endswith("""\
  payload of request 1
    {"p1": "buy", "p2": "tent", "data": {"line": 1}}
  payload of request 2
    {"p1": "buy", "p2": "tent", "data": {"line": 2}}
""")


def test_a_long_payload_is_folded_and_says_where_to_read_on() -> None:
    attempt = an_attempt(body=GOOD)
    attempt["request"]["body"] = {"items": [{"id": f"product-{n}", "name": "n" * 60} for n in range(60)]}
    page = trace_page(a_trace(a_delivery(attempts=[attempt])))
    shown = page[page.index("  payload\n") :].splitlines()
    assert len(shown) == 42
    assert re.fullmatch(r"    … \d+ more lines: firsthand trace sale-1 --json", shown[-1])


def test_a_clock_that_was_repaired() -> None:
    event = a_trace(timestamp="2026-11-22T10:15:00.000Z", originalTimestamp="2026-11-22T14:15:00+01:00")
    assert """\
happened   2026-11-22 10:15:00.000 UTC, by our clock; the sender's said
           2026-11-22T14:15:00+01:00
""" in trace_page(event)


def test_a_time_that_could_not_be_read() -> None:
    event = a_trace(timestamp="2026-11-22T10:15:00.000Z", originalTimestamp="22.11.2026")
    assert """\
happened   is not known: 22.11.2026 is no time we can read, so it counts from
           its receipt
""" in trace_page({**event, "time": {"by": "unreadable", "sent": "22.11.2026"}})


def test_there_is_colour_at_a_terminal_only() -> None:
    delivered = a_trace(a_delivery(attempts=[an_attempt(body=GOOD)]))
    assert "\x1b[1;32m✓ DELIVERED" in trace_page(delivered, colour=True)
    assert "\x1b" not in trace_page(delivered)


def test_what_came_from_outside_cannot_move_the_cursor() -> None:
    hostile = "\x1b[2J\x9b31m\u202egnp.exe\r\n[bold]"
    event = a_trace(
        a_delivery("dead", reason={"code": "vendor_rejected", "field": None, "message": hostile}, name=hostile),
        event=hostile,
        anonymousId=hostile,
        context={"page": {"url": hostile}},
    )
    page = trace_page(event)
    assert not set(page) & set("\x1b\x9b\u202e\r")
    assert "[bold]" in page


JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@given(context=JSON, payload=JSON, answer=JSON, width=st.integers(60, 140))
def test_whatever_is_in_it_the_page_keeps_to_its_width(context: Any, payload: Any, answer: Any, width: int) -> None:
    attempt = an_attempt(body=answer)
    attempt["request"]["body"] = payload
    context = context if isinstance(context, dict) else {"consent": context, "ids": {"id": context}}
    page = trace_page(a_trace(a_delivery(attempts=[attempt], warnings=json.dumps(answer)), context=context), width)
    assert [line for line in page.splitlines() if cell_len(line) > width] == []


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_a_terminal_that_knows_no_marks_gets_the_page_all_the_same(encoding: str) -> None:
    found: Json = a_trace(a_delivery(attempts=[an_attempt(body=GOOD)]))
    code = f"from firsthand.terminal.trace import show; show({found!r})"
    done = subprocess.run(
        [sys.executable, "-c", code], env={"PYTHONIOENCODING": encoding}, capture_output=True, check=True
    )
    assert b"DELIVERED" in done.stdout
    assert done.stderr == b""


def test_what_was_left_out_and_what_the_order_then_adds_up_to() -> None:
    notes = [
        {"field": "context.ip", "value": "unknown", "why": "must be an IPv4 or IPv6 address"},
        {"field": "properties.products[1]", "value": '{"name":"Gift wrap"}', "why": "it is no product"},
    ]
    total = {"field": "properties.total", "said": "54.80", "lines": "49.90"}
    page = part(trace_page(a_trace(a_delivery(left_out=notes, total=total)), width=100))
    assert (
        """\
  left out   context.ip "unknown": must be an IPv4 or IPv6 address
             properties.products[1] "{\\"name\\":\\"Gift wrap\\"}": it is no product
  total      properties.total says 54.80; the lines that are sent add up to 49.90
"""
        in page
    )


def test_of_many_properties_the_first_are_shown() -> None:
    page = trace_page(a_trace(a_delivery(), properties={f"property_{n}": "x" * 30 for n in range(40)}))
    assert '"property_10": ' in page
    assert '"property_30": ' not in page
    assert "… 30 more lines, with --json" in page
