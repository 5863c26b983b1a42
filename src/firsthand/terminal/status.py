"""The state of the gateway on one page: what came in, what became of it at each integration, and why."""

import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.text import Text

from firsthand.ledger.damage import REMEDY
from firsthand.ledger.records import CANNOT_RUN
from firsthand.reasons import DEAD, FILTERED
from firsthand.supervise import ROLES
from firsthand.terminal.console import clean, counted, cut, hanging, labelled, page_width, stdout
from firsthand.terminal.remedies import REMEDIES
from firsthand.terminal.times import pause, span

STATES = ("delivered", "filtered", "dead", "pending", "held", "retrying")
DOES = {"collect": "taken in", "deliver": "sent"}
"""What stops with a role."""
NAMED = ("not_mapped", "field_missing", "field_invalid")
"""Reasons that are about how an event is made: it helps to know which."""

MOST_LEFT_OUT = 5
"""Fields that were left out; the most frequent are named."""

Status = Mapping[str, Any]


def show(status: Status, console: Console | None = None, now_ms: int | None = None) -> None:
    """Print a status, as `firsthand.status.status` makes it. `now_ms` is milliseconds since 1970."""
    console = console or stdout()
    now_ms = round(time.time() * 1000) if now_ms is None else now_ms
    for line in _page(status, page_width(console), now_ms):
        console.print(line, soft_wrap=True)


def _page(status: Status, width: int, now_ms: int) -> Iterator[Text]:
    if not_running := _not_running(status):
        yield hanging(Text("! ", style="yellow"), Text(not_running, style="yellow"), width)
        yield Text("")
    if damaged := status.get("damaged"):
        said = f"{damaged['cause']}: nothing is sent until it is mended. {damaged['remedy'] or REMEDY}"
        yield hanging(Text("✗ ", style="red"), Text(f"The ledger is damaged. {said}", style="red"), width)
        yield Text("")
    yield from _sources(status["sources"], status.get("refusals") or {}, width)
    yield Text("")
    yield from _integrations(status["integrations"], width, now_ms)
    yield from _reasons(status["integrations"], width)
    if log := status.get("log"):
        yield Text("")
        yield _log(log)


def _not_running(status: Status) -> str:
    """What does not happen now, where a part of the gateway does not run on this data folder."""
    missing = [role for role in ROLES if role not in status["running"]]
    if not missing:
        return ""
    undone = " and ".join(f"nothing is {DOES[role]}" for role in missing)
    who = f"only {' and '.join(status['running'])} runs" if status["running"] else "no gateway runs"
    return f"{who} on this data folder: {undone}. What follows is how it was left; `firsthand serve` goes on."


# -- sources -----------------------------------------------------------------------------------------------------


def _sources(sources: Sequence[Status], refusals: Status, width: int) -> Iterator[Text]:
    columns = ("received", "duplicates", "refused")
    key_width = max([len("Source"), *(len(source["key"]) for source in sources)])
    yield Text("Source".ljust(key_width) + "".join(f"{column:>13}" for column in columns), style="bold")
    yield Text("─" * width, style="dim")
    if not sources:
        yield Text("nothing has come in yet: POST events to /v1/track with a source's write key", style="dim")
    for source in sources:
        numbers = "".join(f"{source[column]:>13,}" for column in columns)
        yield cut(clean(source["key"]).ljust(key_width) + numbers, width)
        if why := refusals.get(source["key"]):
            said = ", ".join(f"{count:,} {code}" for code, count in why.items())
            yield labelled("refused", f"{said}: docs/collect.md#errors", width, 2)
        if words := source.get("placeholders"):
            said = ", ".join(f"{count:,} {clean(word)}" for word, count in words.items())
            yield labelled("nobody", f"{said}: ids that name nobody, left out: docs/collect.md#events", width, 2)
        for path, count in (source.get("unknown_paths") or {}).items():
            said = f"{counted(count, 'request')} for {clean(path)}, no address of ours: docs/collect.md#clients"
            yield labelled("lost", Text(said, style="red"), width, 2)


# -- integrations ------------------------------------------------------------------------------------------------


def _integrations(integrations: Sequence[Status], width: int, now_ms: int) -> Iterator[Text]:
    numbers = {name: [f"{row[name]:,}" for row in integrations] for name in ("received", *STATES)}
    widths = {name: max(len(name), *map(len, [*found, ""])) for name, found in numbers.items()}
    yield Text("  " + _equation({name: name for name in widths}, widths), style="bold")
    yield Text("─" * width, style="dim")
    if not integrations:
        yield Text("no integration has run yet", style="dim")
    for index, row in enumerate(integrations):
        yield cut(_title(row), width)
        equation = Text("  " + _equation({name: found[index] for name, found in numbers.items()}, widths))
        yield equation
        yield from _certainties(row, width, now_ms)


def _equation(values: Mapping[str, str], widths: Mapping[str, int]) -> str:
    """received = delivered + filtered + …, each number under its word."""
    received, *states = (values[name].rjust(widths[name]) for name in ("received", *STATES))
    return f"{received} = {' + '.join(states)}"


def _title(row: Status) -> Text:
    """Who, whether it balances, and how it does."""
    line = Text().append(clean(row["key"]), style="bold").append(f"  {clean(row.get('vendor', ''))}  ", style="dim")
    if row.get("environment") == "sandbox":
        line.append("sandbox  ", style="yellow")
    if row["balanced"]:
        line.append("✓ balanced", style="green")
    else:
        missing = row["received"] - sum(row[state] for state in STATES)
        amount = f", {counted(abs(missing), 'event')} {'missing' if missing > 0 else 'too many'}" if missing else ""
        line.append(f"✗ DOES NOT BALANCE{amount}", style="bold white on red")
    if row.get("recounted") is not None:
        line.append("  rows recounted" if row["recounted"] else "  the rows do not give these counts")
    line.append(f"  lag {span(row['lag_seconds'])}", style="" if row["lag_seconds"] < 60 else "yellow")
    return line


def _certainties(row: Status, width: int, now_ms: int) -> Iterator[Text]:
    """What is behind `delivered`, and what stands in the way, where there is something to say."""
    certainties = {name: count for name, count in (row.get("certainties") or {}).items() if count}
    if certainties.keys() - {"accepted"}:
        said = ", ".join(f"{count:,} {name.replace('_', ' ')}" for name, count in sorted(certainties.items()))
        yield labelled("delivered", said, width, 2)
    if left_out := row.get("left_out"):
        shown = [f"{clean(field)} {count:,}" for field, count in list(left_out.items())[:MOST_LEFT_OUT]]
        more = len(left_out) - len(shown)
        yield labelled("left out", ", ".join(shown) + (f", and {more} more" if more else ""), width, 2)
    for state, causes in (row.get("waiting") or {}).items():
        yield labelled(state, ", ".join(f"{count:,} {clean(cause)}" for cause, count in causes.items()), width, 2)
    health = row.get("health") or {}
    trouble = health.get("breaker", "closed") != "closed"
    if trouble or health.get("until"):
        said = f"{health['breaker']}: " if trouble and health.get("reason") != CANNOT_RUN else ""
        said += f"{pause(health, trouble, now_ms)}. The backlog waits in the log"
        word = "down" if health.get("reason") == CANNOT_RUN else "breaker" if trouble else "rests"
        yield labelled(word, Text(said, style="yellow"), width, 2)


# -- reasons -----------------------------------------------------------------------------------------------------


def _reasons(integrations: Sequence[Status], width: int) -> Iterator[Text]:
    """Each reason with its count and what to do about it; the most frequent first."""
    for row in integrations:
        reasons: Mapping[str, int] = {code: count for code, count in row["reasons"].items() if count}
        if not reasons:
            continue
        yield Text("")
        yield cut(Text(f"Reasons at {clean(row['key'])}", style="bold"), width)
        yield Text("─" * width, style="dim")
        code_width = max(map(len, reasons))
        count_width = max(len(f"{count:,}") for count in reasons.values())
        for code, count in sorted(reasons.items(), key=lambda item: (-item[1], item[0])):
            yield _reason(code, code_width, f"{count:>{count_width},}", row["key"], width)
            if code in NAMED and (names := (row.get("names") or {}).get(code)):
                of_late = ", ".join(f"{clean(name) or '(no name)'} {number:,}" for name, number in names.items())
                yield hanging(Text(" " * (code_width + count_width + 4)), f"Of late: {of_late}", width)


def _reason(code: str, code_width: int, count: str, key: str, width: int) -> Text:
    style = "" if code in DEAD and code in FILTERED else "red" if code in DEAD else "cyan"
    start = Text().append(code.ljust(code_width), style=style).append(f"  {count}  ")
    return hanging(start, Text(REMEDIES.get(code, "").replace("KEY", clean(key)), style="dim"), width)


# -- the log -----------------------------------------------------------------------------------------------------


def _log(log: Status) -> Text:
    held, most = log["bytes"], log["max_bytes"]
    line = Text().append("Event log  ", style="bold").append(_bytes(held))
    if most:
        line.append(f" of at most {_bytes(most)} ({held / most:.1%})")
    if log["full"]:
        line.append("  ")
        line.append("✗ FULL: events are refused (503). Free disk space.", style="bold white on red")
    return line


def _bytes(number: int) -> str:
    size = float(number)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size < 1024:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} TiB"
