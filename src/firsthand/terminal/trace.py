"""One event's page: what came in, who it is about, and what became of it at every integration, and why."""

import json
import re
import shlex
import time
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

from firsthand.event import parse_time
from firsthand.reasons import HELD
from firsthand.terminal.attempts import attempt_lines, payloads
from firsthand.terminal.console import clean, cut, labelled, page_width, stdout
from firsthand.terminal.payload import pretty, shown
from firsthand.terminal.remedies import REMEDIES, REPLAYABLE
from firsthand.terminal.times import ago, clock_time, full_time, pause, within

INDENT = 2
MOST_NOTES = 8
MOST_PROPERTIES = 12
STATES = {
    "delivered": ("✓", "bold green"),
    "filtered": ("–", "bold cyan"),
    "dead": ("✗", "bold red"),
    "retrying": ("↻", "bold yellow"),
    "held": ("‖", "bold magenta"),
    "pending": ("…", "bold blue"),
}
CERTAINTIES = {
    "accepted": "the vendor accepted it",
    "accepted_with_warnings": "the vendor accepted it, with warnings",
    "unverifiable": "unverifiable: the vendor's answer proves nothing",
}
IN_SANDBOX = {
    "accepted": "accepted in the sandbox",
    "accepted_with_warnings": "accepted in the sandbox, with warnings",
    "unverifiable": "unverifiable, in the sandbox",
}

Trace = Mapping[str, Any]


def show(trace: Trace, console: Console | None = None, now_ms: int | None = None, data: Path | None = None) -> None:
    """Print a trace, as `firsthand.ledger.trace.trace` makes it. `now_ms` is milliseconds since 1970.

    `data` is the data folder where the user had to name it: the commands the page proposes name it too.
    """
    console = console or stdout()
    now_ms = round(time.time() * 1000) if now_ms is None else now_ms
    where = [f"--data {shlex.quote(clean(data))}"] if data else []
    for line in _page(trace, page_width(console), now_ms, where):
        console.print(line, soft_wrap=True)


def _page(trace: Trace, width: int, now_ms: int, where: list[str]) -> Iterator[Text]:
    yield from _received(trace, width)
    deliveries: Sequence[Trace] = trace["deliveries"]
    if not deliveries:
        yield Text("")
        yield labelled("", "No integration takes events from this source, or none had been set up when it came.", width)
    for _, group in groupby(deliveries, key=lambda delivery: delivery["integration"]):
        yield Text("")
        yield from _integration(list(group), trace, width, now_ms, where)


# -- what came in ------------------------------------------------------------------------------------------------


def _received(trace: Trace, width: int) -> Iterator[Text]:
    event = trace["event"]
    type_, name = event.get("type", ""), event.get("event") or event.get("name")
    title = Text().append(clean(name or type_), style="bold")
    if name:
        title.append(f"  {clean(type_)}", style="dim")
    yield cut(title, width)
    yield Text("─" * width, style="dim")
    yield labelled("message", clean(trace["message_id"]), width)
    yield labelled("received", f"{full_time(trace['received_at'])} from {clean(trace['source'])}", width)
    yield from _happened(trace, width)
    if _erased(trace):
        yield labelled("visitor", "was erased, and with them what the event said and what was sent of it", width)
        return
    for number, (what, value) in enumerate(_visitor(event)):
        line = cut(Text().append(f"{what} ", style="dim").append(clean(value)), width - 11)
        yield labelled("" if number else "visitor", line, width)
    yield labelled("consent", _consent(event), width)
    page = _at(event, "context", "page", "url") or _at(event, "properties", "url")
    if isinstance(page, str):
        yield labelled("page", cut(clean(page), width - 11), width)
    yield from _properties(event, width)


def _happened(trace: Trace, width: int) -> Iterator[Text]:
    """When it happened, where that is worth a line."""
    event, received_at = trace["event"], trace["received_at"]
    happened, original = event.get("timestamp"), event.get("originalTimestamp")
    if not happened:
        return
    if original and trace.get("time", {}).get("by") == "unreadable":
        said = f"is not known: {clean(original)} is no time we can read, so it counts from its receipt"
        yield labelled("happened", said, width)
    elif original:
        yield labelled("happened", f"{full_time(happened)}, by our clock; the sender's said {clean(original)}", width)
    elif abs(parse_time(received_at) - parse_time(happened)) >= 1000:
        yield labelled("happened", f"{full_time(happened)}, {ago(happened, received_at)}", width)


def _properties(event: Trace, width: int) -> Iterator[Text]:
    """What the event says of itself, as masked already: so much that a shop knows it again."""
    properties = event.get("properties")
    if not isinstance(properties, dict) or not properties:
        return
    lines = pretty(properties, width - 11)
    for number, line in enumerate(lines[:MOST_PROPERTIES]):
        yield Text("says       " if not number else " " * 11, style="dim").append_text(cut(Text(line), width - 11))
    if len(lines) > MOST_PROPERTIES:
        yield Text(f"{' ' * 11}… {len(lines) - MOST_PROPERTIES} more lines, with --json", style="dim")


def _erased(trace: Trace) -> bool:
    return _at(trace["event"], "context", "erased") is True


def _visitor(event: Trace) -> list[tuple[str, Any]]:
    """All that says who it was, as masked already."""
    found = [(name, event.get(name)) for name in ("anonymousId", "userId", "previousId", "groupId")]
    found.append(("email", _at(event, "traits", "email") or _at(event, "context", "traits", "email")))
    ids = _at(event, "context", "ids")
    found += list(ids.items()) if isinstance(ids, dict) else []
    found.append(("advertisingId", _at(event, "context", "device", "advertisingId")))
    found.append(("ip", _at(event, "context", "ip")))
    return [(name, value) for name, value in found if value not in (None, "")]


def _consent(event: Trace) -> str:
    """What the visitor's answer is, as the event carries it."""
    consent = _at(event, "context", "consent")
    if not isinstance(consent, dict) or not consent:
        return "the event says nothing of it"
    said = []
    tcf = consent.get("tcf")
    if isinstance(tcf, dict):
        applies = "GDPR applies" if tcf.get("gdprApplies") is True else ""
        applies = "GDPR does not apply" if tcf.get("gdprApplies") is False else applies
        text = str(tcf.get("tcString") or "no TC string")
        said.append(
            f"TCF: {applies or 'not said whether GDPR applies'}, {text if len(text) <= 24 else text[:23] + '…'}"
        )
    categories = consent.get("categories", consent.get("categoryPreferences"))
    if isinstance(categories, dict):
        words = {True: "yes", False: "no"}
        said.append(
            "categories: " + ", ".join(f"{name} {words.get(given, given)}" for name, given in categories.items())
        )
    if "gpc" in consent:
        said.append(f"Global Privacy Control {'on' if consent['gpc'] is True else 'off'}")
    if "usPrivacy" in consent:
        said.append(f"US Privacy {consent['usPrivacy']}")
    if "gpp" in consent:
        said.append(f"GPP {str(consent['gpp'])[:24]}")
    return clean("; ".join(said)) or "the event says nothing of it"


# -- what became of it -------------------------------------------------------------------------------------------


def _integration(
    deliveries: Sequence[Trace], trace: Trace, width: int, now_ms: int, where: list[str]
) -> Iterator[Text]:
    latest = next((d for d in deliveries if not d.get("superseded")), deliveries[-1])
    title = Text().append(clean(latest["integration"]), style="bold").append(f"  {latest['vendor']}", style="dim")
    if latest.get("environment") == "sandbox":
        title.append("  sandbox", style="yellow")
    yield cut(title, width)
    yield _state(latest, trace, width)
    yield from _why(latest, trace, width, where)
    if latest["state"] == "held" and (until := latest.get("next_attempt_at")):
        what = "id at the vendor" if (latest.get("reason") or {}).get("code") in HELD else "answer"
        yield labelled(
            "waits", f"for the visitor's {what}, until {clock_time(until)}, {within(until, now_ms)}", width, INDENT
        )
    if latest.get("warnings"):
        yield labelled("warnings", clean(latest["warnings"]), width, INDENT)
    yield from _left_out(latest, width)
    reason = latest.get("reason") or {}
    if (decided := latest.get("consent")) and reason.get("code") not in ("consent_refused", "consent_unknown"):
        yield labelled("consent", _decided(decided), width, INDENT)
    if known := latest.get("identity"):
        said = ", ".join(f"{name} {value}" for name, value in known.items())
        yield labelled("known", clean(said), width, INDENT)
    if latest.get("maybe_sent_before"):
        said = "a process that died may have sent it before; what came of that is not known"
        yield labelled("again", Text(said, style="yellow"), width, INDENT)
    yield labelled("mapping", _mapping(latest, trace), width, INDENT)
    yield from attempt_lines(latest, trace["received_at"], width, INDENT, _erased(trace))
    if paused := latest.get("paused"):
        yield labelled("paused", Text(_paused(paused, trace, now_ms), style="yellow"), width, INDENT)
    elif latest["state"] == "retrying" and (again := latest.get("next_attempt_at")):
        yield labelled(
            "", Text(f"next attempt {within(again, now_ms)}, at {clock_time(again)}", style="yellow"), width, INDENT
        )
    rest = " ".join(["firsthand trace", shlex.quote(clean(trace["message_id"])), *where, "--json"])
    for label, body in payloads(latest):
        yield Text(" " * INDENT + label, style="dim")
        yield from shown(body, width, INDENT * 2, rest)
    for earlier in deliveries:
        if earlier is not latest:
            yield labelled("before", _folded(earlier), width, INDENT)


def _left_out(delivery: Trace, width: int) -> Iterator[Text]:
    """What was sent without being complete, and what an order then adds up to."""
    notes = delivery.get("left_out") or ()
    for number, note in enumerate(notes[:MOST_NOTES]):
        value = "" if note["value"] is None else f" {json.dumps(note['value'], ensure_ascii=False)}"
        said = clean(f"{note['field']}{value}: {note['why']}")
        yield labelled("" if number else "left out", said, width, INDENT)
    if len(notes) > MOST_NOTES:
        yield labelled("", Text(f"… {len(notes) - MOST_NOTES} more", style="dim"), width, INDENT)
    if total := delivery.get("total"):
        said = f"{total['field']} says {total['said'] or 'nothing that is a number'}" if total["field"] else "not said"
        yield labelled("total", clean(f"{said}; the lines that are sent add up to {total['lines']}"), width, INDENT)


def _paused(paused: Trace, trace: Trace, now_ms: int) -> str:
    """Why nothing at all is sent to the vendor now, and until when."""
    if paused["by"] == "stopped":
        return "no gateway delivers on this data folder: it waits until `firsthand serve` runs"
    return pause(paused, paused["by"] == "trouble", now_ms, trace["received_at"])


def _state(delivery: Trace, trace: Trace, width: int) -> Text:
    state = delivery["state"]
    mark, style = STATES.get(state, ("?", "bold"))
    line = Text(" " * INDENT).append(f"{mark} {state.upper()}", style=style)
    if state == "delivered":
        words = IN_SANDBOX if delivery.get("environment") == "sandbox" else CERTAINTIES
        line.append(f"  {words.get(delivery.get('certainty') or '', '')}")
    elif delivery.get("reason"):
        line.append(f"  {delivery['reason']['code']}")
    elif state == "pending":
        line.append("  its turn has not come yet")
    if updated := delivery.get("updated_at"):
        line.append(f"  {clock_time(updated, trace['received_at'])}", style="dim")
    if delivery.get("generation"):
        line.append(f"  replay {delivery['generation']}", style="dim")
    return cut(line, width)


def _why(delivery: Trace, trace: Trace, width: int, where: list[str]) -> Iterator[Text]:
    reason = delivery.get("reason")
    if not reason:
        return
    code, field = reason["code"], reason.get("field")
    if reason.get("message"):
        yield labelled("why", clean(reason["message"]), width, INDENT)
    if field and code == "field_invalid" and (value := _look_up(trace["event"], field)) is not None:
        yield labelled("it is", cut(clean(json.dumps(value, ensure_ascii=False)), width - 13), width, INDENT)
    if _erased(trace) and code != "erased":
        return  # a replay ends as erased
    if code in REMEDIES:
        yield labelled("do", REMEDIES[code].replace("KEY", delivery["integration"]), width, INDENT)
    if code in REPLAYABLE and delivery["state"] in ("dead", "filtered"):
        yield from _command(delivery["integration"], trace["message_id"], width, where)


def _command(integration: str, message_id: str, width: int, where: list[str]) -> Iterator[Text]:
    """How to replay this delivery: in several lines where one is too long, and still as the shell takes it."""
    first = f"firsthand replay --integration {integration}"
    parts = [first, f"--message-id {shlex.quote(clean(message_id))}", *where]
    start = Text(" " * INDENT).append("replay     ", style="dim")
    if start.cell_len + cell_len(" ".join(parts)) <= width:
        yield start.append(" ".join(parts), style="bold")
        return
    for number, part in enumerate(parts, 1):
        line = start if number == 1 else Text(" " * 15)
        yield line.append(part if number == len(parts) else f"{part} \\", style="bold")


def _decided(consent: Trace) -> str:
    """The decision and what it rests on: `allow, by tcf: vendor 91, purposes 1 3 4`."""
    if consent["basis"] == "none":
        return f"{consent['decision']}: this integration asks for none"
    detail = f": {consent['detail']}" if consent.get("detail") else ""
    given = f", answered at {at}" if (at := consent.get("answered_at")) else ""
    return clean(f"{consent['decision']}, by {consent['basis']}{detail}{given}")


def _mapping(delivery: Trace, trace: Trace) -> Text:
    """The canonical name, the vendor's name for it, and by which revision."""
    name = delivery.get("name") or trace["event"].get("event") or trace["event"].get("type", "")
    line = Text(clean(name))
    taken = _vendor_event(delivery["vendor"], name) or ("as the settings say" if delivery.get("attempts") else None)
    line.append(f" → {taken}" if taken else " → nothing", style="" if taken else "dim")
    if delivery.get("revision"):
        line.append(f"  (revision {delivery['revision']})", style="dim")
    return line


def _vendor_event(vendor: str, name: str) -> str | None:
    from firsthand.vendors import VendorError, get

    try:
        return get(vendor).events.get(name)
    except VendorError:  # the ledger outlives the packages
        return "an event of a vendor that is no longer installed"


def _folded(delivery: Trace) -> str:
    """An earlier generation, which a replay took the place of, in a line."""
    reason, count = delivery.get("reason"), len(delivery.get("attempts") or ())
    what = f"{delivery['state']} {reason['code']}" if reason else delivery["state"]
    when = f", {full_time(delivery['updated_at'])}" if delivery.get("updated_at") else ""
    return f"{what}{when}, {count} attempt{'' if count == 1 else 's'}; then it was replayed"


# -- looking into the event --------------------------------------------------------------------------------------


def _at(event: Any, *path: str) -> Any:
    for step in path:
        event = event.get(step) if isinstance(event, dict) else None
    return event


def _look_up(event: Any, path: str) -> Any:
    """The value at `properties.products[0].price`; None where there is none."""
    for step in re.findall(r"[^.\[\]]+", path):
        if isinstance(event, list):
            event = event[int(step)] if step.isdigit() and int(step) < len(event) else None
        else:
            event = event.get(step) if isinstance(event, dict) else None
    return event
