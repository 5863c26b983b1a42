"""A delivery's attempts: when, where to, how long, and what came back. Redirects stand under what they belong to."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from rich.text import Text

from firsthand.terminal.console import clean, cut, hanging, labelled
from firsthand.terminal.times import clock_time

MOST_TRIES = 6
"""More than these are folded: the first two and the last three tell the story."""

Attempt = Mapping[str, Any]


def attempt_lines(
    delivery: Mapping[str, Any], received_at: str, width: int, indent: int, erased: bool = False
) -> Iterator[Text]:
    """`erased`: with the visitor went what the vendor was sent and said."""
    attempts: Sequence[Attempt] = delivery.get("attempts") or ()
    if not attempts:
        if delivery["state"] in ("filtered", "dead"):
            yield labelled("attempts", Text("none: no request was made", style="dim"), width, indent)
        return
    tries = _tries(attempts)
    yield Text(" " * indent + "attempts", style="dim")
    several = any(attempt.get("request_index") for attempt in attempts)
    for number, hops in enumerate(tries, 1):
        if len(tries) > MOST_TRIES and 2 < number <= len(tries) - 3:
            if number == 3:
                yield Text(f"{' ' * indent}      … {len(tries) - 5} more attempts", style="dim")
            continue
        for hop in hops:
            yield from _attempt(hop, number, several, received_at, width, indent, erased)


def _tries(attempts: Sequence[Attempt]) -> list[list[Attempt]]:
    """Attempts, each with the redirects it followed."""
    tries: list[list[Attempt]] = []
    for attempt in attempts:
        if attempt.get("hop") and tries:
            tries[-1].append(attempt)
        else:
            tries.append([attempt])
    return tries


def _attempt(
    attempt: Attempt, number: int, several: bool, received_at: str, width: int, indent: int, erased: bool
) -> Iterator[Text]:
    hop, response, error = attempt.get("hop", 0), attempt.get("response"), attempt.get("error")
    request = attempt["request"]
    place = urlsplit(request["url"])
    start = f"{' ' * indent}{'' if hop else number:>4}  {clock_time(attempt['at'], received_at)}{_took(attempt):>8}  "
    which = f"request {attempt['request_index'] + 1}: " if several else ""
    where = f"↳ {place.netloc}{place.path}" if hop else f"{which}{request['method']} {place.netloc}{place.path}"
    result = _result(attempt)
    room = width - len(start) - result.cell_len - 2
    line = Text().append(start, style="dim").append_text(cut(Text(clean(where)), room))
    line.pad_right(max(0, width - line.cell_len - result.cell_len))
    yield line.append_text(result)
    under = Text(" " * len(start))
    if error:
        known = "it may have arrived" if error.get("sent") else "nothing was sent"
        said = f"{known}: {error['message']}" if error["message"] else known
        yield hanging(under, Text(clean(said), style="dim"), width)
    elif response and not erased and (words := _words(response)):
        yield cut(under.append(clean(words), style="dim"), width)


def _took(attempt: Attempt) -> str:
    ms = attempt.get("duration_ms") or 0
    return f"{ms} ms" if ms < 10_000 else f"{ms / 1000:.1f} s"


def _result(attempt: Attempt) -> Text:
    """The HTTP status, or why there is none."""
    if attempt.get("error"):
        return Text(str(attempt["error"]["cause"]), style="red")
    status = (attempt.get("response") or {}).get("status")
    style = "green" if status and status < 300 else "cyan" if status and status < 400 else "red"
    return Text(str(status or "no answer"), style=style)


def _words(response: Mapping[str, Any]) -> str:
    """What the vendor said, on one line."""
    body = response.get("body")
    if body in (None, ""):
        location = (response.get("headers") or {}).get("location")
        return "" if location else "(an empty answer)"
    if not isinstance(body, str):
        return json.dumps(body, ensure_ascii=False)
    text = " ".join(body.split())
    if text.isprintable() and "\ufffd" not in text:
        return text
    kind = (response.get("headers") or {}).get("content-type", "not text").partition(";")[0]
    return f"({response.get('body_bytes', len(body))} bytes, {kind})"


def payloads(delivery: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """What was sent, once for each request of the delivery, as the last attempt had it."""
    sent: dict[int, list[Any]] = {}
    for attempt in delivery.get("attempts") or ():
        if not attempt.get("hop"):
            sent.setdefault(attempt.get("request_index", 0), []).append(_payload(attempt["request"]))
    found = []
    for index, bodies in sent.items():
        label = f"payload of request {index + 1}" if len(sent) > 1 else "payload"
        if any(body != bodies[-1] for body in bodies):
            label += ", as last sent; earlier attempts sent another"
        if bodies[-1] not in (None, ""):
            found.append((label, bodies[-1]))
    return found


def _payload(request: Mapping[str, Any]) -> Any:
    """The body, or for a request without one its query, with JSON in it read."""
    if request.get("body") is not None:
        return request["body"]
    pairs = dict(parse_qsl(urlsplit(request["url"]).query, keep_blank_values=True))
    return {name: _read(value) for name, value in pairs.items()} or None


def _read(value: str) -> Any:
    try:
        return json.loads(value) if value[:1] in "{[" and value else value
    except ValueError:
        return value
