"""Inputs as shops' systems really send them, with what is right, played against a whole gateway.

A case is a JSON file in `cases`:

| field | |
|---|---|
| `title`, `right` | whose input it is, and what is to become of it |
| `requests` | each with `path`, `body`, and `key`, the write key (`server-key`) |
| `checks` | each about the answer to a request or about what became of a message |

A check of an answer has `response`, the request's index, and `status`. One of a message has `message`, `integration`
and `state` (one or several), and may have `sent` (values by their path in the body that was sent), `not_sent` (paths)
and `url_lacks` (texts that no URL has which was asked for).

`{{now-60}}` in a text stands for the time a minute ago, `{{now|%H:%M}}` for one in a format, and `|arabic` behind it
for one in Arabic digits.
"""

import http.client
import json
import re
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tests.gateway import Gateway, Json, until

CASES = Path(__file__).parent / "cases"
ENDS = ("delivered", "filtered", "dead")
ISO = "%Y-%m-%dT%H:%M:%S.000Z"
_TIME = re.compile(r"\{\{now([+-]\d+)?(?:\|([^|}]*))?(\|arabic)?\}\}")
_ARABIC = {ord("0") + digit: 0x660 + digit for digit in range(10)}


def read(name: str) -> Json:
    """A case, with the times in it by now."""
    now = time.time()

    def written(match: re.Match[str]) -> str:
        offset, format, arabic = match.groups()
        text = datetime.fromtimestamp(now + int(offset or 0), UTC).strftime(format or ISO)
        return text.translate(_ARABIC) if arabic else text

    case: Json = json.loads(_TIME.sub(written, (CASES / f"{name}.json").read_text()))
    return case


def play(case: Json, gateway: Gateway) -> None:
    """Send the requests, and hold what became of them against the checks."""
    statuses = [_send(gateway, **request) for request in case["requests"]]
    for check in case["checks"]:
        if "response" in check:
            assert statuses[check["response"]] == check["status"], case["right"]
        else:
            _check(gateway, case["right"], **check)


def _send(gateway: Gateway, path: str, key: str, body: Json) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=20)
    try:
        headers = {"content-type": "application/json", "authorization": f"Bearer {key}"}
        connection.request("POST", path, json.dumps(body), headers)
        return connection.getresponse().status
    finally:
        connection.close()


def _check(
    gateway: Gateway,
    right: str,
    message: str,
    integration: str,
    state: str | list[str],
    sent: Json | None = None,
    not_sent: list[str] | None = None,
    url_lacks: list[str] | None = None,
) -> None:
    accepted = [state] if isinstance(state, str) else state

    def ended() -> Json | None:
        rows = gateway.trace(message)["deliveries"]  # one that is being written just now may not be among them
        ours = [row for row in rows if row["integration"] == integration and not row["superseded"]]
        return next((row for row in ours if row["state"] in (*ENDS, *accepted)), None)

    delivery = until(f"{message} has an end at {integration}", ended)
    assert delivery["state"] in accepted, (right, delivery["reason"])
    requests = [attempt["request"] for attempt in delivery["attempts"]]
    for request in requests:
        for path, value in (sent or {}).items():
            assert at(request["body"], path) == value, (right, path)
        for path in not_sent or ():
            assert at(request["body"], path) is None, (right, path)
        for part in url_lacks or ():
            assert part not in request["url"], right
    assert requests or not (sent or not_sent or url_lacks), "nothing was sent that could be looked at"


def at(body: Any, path: str) -> Any:
    """The value at a path such as `events.0.item.0.price`, or None."""
    for step in path.split("."):
        if isinstance(body, list):
            body = body[int(step)] if int(step) < len(body) else None
        else:
            body = body.get(step) if isinstance(body, dict) else None
    return body
