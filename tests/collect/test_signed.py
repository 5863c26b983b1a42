"""Signed requests: who may send them, what is refused, and why sending one twice counts once."""

import gzip
import hashlib
import hmac
import json
from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec
import pytest
from rich.pretty import pretty_repr

from firsthand.collect.app import Collector
from firsthand.config import ConfigError, Source, parse
from firsthand.config.values import Masked, unwrap
from firsthand.eventlog.base import Record

NOW = 1_795_342_500.0
NOW_MS = "1795342500000"
SECRET = "back-end-secret-1"

BACK_END = Source(key="back-end", write_key="back-end-key", signing_secret=SECRET)
STRICT = Source(key="strict", write_key="strict-key", signing_secret=SECRET, require_signature=True)
WEB = Source(key="web-shop", write_key="web-key")

ORDER = {"type": "track", "event": "Order Completed", "userId": "user-42", "properties": {"order_id": "1001"}}


class Log:
    """An event log in memory, which knows a message id again."""

    full = False

    def __init__(self) -> None:
        self.events: dict[tuple[str, str], dict[str, Any]] = {}

    async def append(self, records: Sequence[Record]) -> int:
        before = len(self.events)
        for record in records:
            self.events.setdefault((record.source, record.message_id), json.loads(record.body))
        return len(self.events) - before

    def note(self, source: str, kind: str, value: str, count: int = 1) -> None: ...

    async def close(self) -> None: ...


class Answer(NamedTuple):
    status: int
    body: dict[str, Any]

    @property
    def code(self) -> str:
        return str(self.body["error"]["code"])


class Client:
    """Sends to a collector, without a network in between."""

    def __init__(self) -> None:
        self.log = Log()
        self.now = NOW
        self._collector = Collector([BACK_END, STRICT, WEB], self.log, clock=lambda: self.now)

    @property
    def events(self) -> list[dict[str, Any]]:
        return list(self.log.events.values())

    async def post(self, path: str, body: bytes, key: str | None = "back-end-key", **headers: str) -> Answer:
        if key:
            headers["authorization"] = f"Bearer {key}"
        scope = {
            "type": "http",
            "method": "POST",
            "path": path,
            "client": ("192.0.2.1", 4711),
            "headers": [(name.replace("_", "-").encode(), value.encode("latin-1")) for name, value in headers.items()],
        }
        sent: list[dict[str, Any]] = []

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: dict[str, Any]) -> None:
            sent.append(message)

        await self._collector(scope, receive, send)
        return Answer(sent[0]["status"], json.loads(sent[1]["body"]))


@pytest.fixture
def client() -> Client:
    return Client()


def as_json(value: object) -> bytes:
    return json.dumps(value).encode()


def signed(body: bytes, timestamp: str = NOW_MS, secret: str = SECRET) -> dict[str, str]:
    """The headers that sign a body, made as the documentation tells a back end to."""
    digest = hmac.new(secret.encode(), timestamp.encode() + b"." + body, hashlib.sha256).hexdigest()
    return {"x_timestamp": timestamp, "x_signature": f"sha256={digest}"}


# -- what is taken ---------------------------------------------------------------------------------------------------


async def test_one_event(client: Client) -> None:
    body = as_json(ORDER)

    assert await client.post("/v1/events", body, **signed(body)) == (200, {"success": True})

    (event,) = client.events
    assert (event["event"], event["userId"]) == ("Order Completed", "user-42")
    assert event.get("context", {}) == {}  # the address is the back end's, not the visitor's


async def test_a_batch(client: Client) -> None:
    body = as_json({"batch": [ORDER, {"type": "dance"}, ORDER | {"messageId": "order-1001"}]})

    status, answer = await client.post("/v1/events", body, **signed(body))

    assert (status, answer["success"], answer["accepted"]) == (200, True, 2)
    assert [(item["index"], item["code"]) for item in answer["rejected"]] == [(1, "invalid_type")]


async def test_the_body_is_signed_as_it_is_sent(client: Client) -> None:
    plain = as_json(ORDER)
    packed = gzip.compress(plain)

    taken = await client.post("/v1/events", packed, content_encoding="gzip", **signed(packed))
    refused = await client.post("/v1/events", packed, content_encoding="gzip", **signed(plain))

    assert (taken.status, refused.status, refused.code) == (200, 401, "signature_invalid")


@pytest.mark.parametrize("event", [ORDER, {"batch": [ORDER]}])
async def test_the_write_key_may_stand_in_the_body(client: Client, event: dict[str, Any]) -> None:
    body = as_json(event | {"writeKey": "back-end-key"})

    assert (await client.post("/v1/events", body, None, **signed(body))).status == 200
    assert (await client.post("/v1/events", body, None)).code == "signature_missing"


@pytest.mark.parametrize("off_seconds", [-300, 0, 300])
async def test_five_minutes_either_way(client: Client, off_seconds: int) -> None:
    body = as_json(ORDER)
    headers = signed(body, str(int(NOW_MS) + off_seconds * 1000))

    assert (await client.post("/v1/events", body, **headers)).status == 200


async def test_hex_in_capitals_is_the_same_signature(client: Client) -> None:
    body = as_json(ORDER)
    headers = signed(body)

    for signature in (headers["x_signature"], headers["x_signature"].upper()):
        assert (await client.post("/v1/events", body, **headers | {"x_signature": signature})).status == 200
    assert len(client.events) == 1


# -- what is refused -------------------------------------------------------------------------------------------------

BODY = as_json(ORDER)
GOOD = signed(BODY)

REFUSED: dict[str, tuple[dict[str, str], str]] = {
    "nothing is signed": ({}, "signature_missing"),
    "no signature": ({"x_timestamp": NOW_MS}, "signature_missing"),
    "an empty signature": (GOOD | {"x_signature": ""}, "signature_missing"),
    "no timestamp": ({"x_signature": GOOD["x_signature"]}, "timestamp_missing"),
    "a timestamp as text": (signed(BODY, "2026-11-22T10:15:00Z"), "timestamp_invalid"),
    "a negative timestamp": (signed(BODY, f"-{NOW_MS}"), "timestamp_invalid"),
    "a timestamp with a fraction": (signed(BODY, f"{NOW_MS}.5"), "timestamp_invalid"),
    "a timestamp of many digits": (signed(BODY, "9" * 5_000), "timestamp_invalid"),
    "a timestamp in seconds": (signed(BODY, NOW_MS[:-3]), "timestamp_skewed"),
    "too old": (signed(BODY, str(int(NOW_MS) - 300_001)), "timestamp_skewed"),
    "too early": (signed(BODY, str(int(NOW_MS) + 300_001)), "timestamp_skewed"),
    "another secret": (signed(BODY, secret="another-secret-1"), "signature_invalid"),
    "another body": (signed(BODY + b" "), "signature_invalid"),
    "another timestamp": (GOOD | {"x_timestamp": str(int(NOW_MS) + 1)}, "signature_invalid"),
    "no sha256=": (GOOD | {"x_signature": GOOD["x_signature"][7:]}, "signature_invalid"),
    "another algorithm": (GOOD | {"x_signature": GOOD["x_signature"].replace("256", "1")}, "signature_invalid"),
    "half a signature": (GOOD | {"x_signature": GOOD["x_signature"][:40]}, "signature_invalid"),
    "no ASCII": (GOOD | {"x_signature": "sha256=é"}, "signature_invalid"),
}


@pytest.mark.parametrize(("headers", "code"), REFUSED.values(), ids=REFUSED)
@pytest.mark.parametrize(("path", "key"), [("/v1/events", "back-end-key"), ("/v1/track", "strict-key")])
async def test_refused(client: Client, path: str, key: str, headers: dict[str, str], code: str) -> None:
    if path != "/v1/events" and "x_signature" not in headers:
        code = "signature_required"

    answer = await client.post(path, BODY, key, **headers)

    assert (answer.status, answer.code) == (401, code)
    assert SECRET not in str(answer)
    assert client.events == []


async def test_a_source_without_a_secret_cannot_send_here(client: Client) -> None:
    answer = await client.post("/v1/events", BODY, "web-key", **GOOD)

    assert (answer.status, answer.code) == (403, "signing_not_configured")


async def test_a_signature_is_no_write_key(client: Client) -> None:
    assert (await client.post("/v1/events", BODY, None, **GOOD)).code == "missing_write_key"
    assert (await client.post("/v1/events", BODY, "nobody", **GOOD)).code == "invalid_write_key"


async def test_nothing_is_said_of_a_body_that_is_not_signed(client: Client) -> None:
    broken = b'{"event": '

    assert (await client.post("/v1/events", broken)).code == "signature_missing"
    assert (await client.post("/v1/events", broken, **signed(broken))).code == "malformed_json"
    assert (await client.post("/v1/events", b'{"batch": [', **signed(b'{"batch": ['))).code == "malformed_json"


# -- a source that takes signed requests only ------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/v1/track", "/v1/batch", "/v1/import", "/v1/events"])
async def test_it_takes_signed_requests_at_every_endpoint(client: Client, path: str) -> None:
    body = as_json(ORDER if path == "/v1/track" else {"batch": [ORDER]})

    assert (await client.post(path, body, "strict-key", **signed(body))).status == 200
    assert (await client.post(path, body, "strict-key")).status == 401


async def test_other_sources_need_no_signature_elsewhere(client: Client) -> None:
    for key in ("web-key", "back-end-key"):
        assert (await client.post("/v1/track", BODY, key)).status == 200


# -- a request sent again --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("event", [ORDER, {"batch": [ORDER, ORDER | {"messageId": ""}]}])
async def test_a_replayed_request_is_a_duplicate_of_itself(client: Client, event: dict[str, Any]) -> None:
    body = as_json(event)
    headers = signed(body)

    first = await client.post("/v1/events", body, **headers)
    kept = client.events
    client.now += 299
    again = await client.post("/v1/events", body, **headers)

    assert (first.status, again) == (200, first)
    assert client.events == kept
    assert len(kept) == len(event.get("batch", [event]))  # the items of one batch are no duplicates of each other


async def test_the_next_request_is_none(client: Client) -> None:
    for timestamp in (NOW_MS, str(int(NOW_MS) + 1)):
        await client.post("/v1/events", BODY, **signed(BODY, timestamp))

    assert len(client.events) == 2


async def test_nor_can_it_be_replayed_at_another_endpoint(client: Client) -> None:
    for path in ("/v1/events", "/v1/track", "/v1/page", "/v1/screen"):
        assert (await client.post(path, BODY, "strict-key", **GOOD)).status == 200

    assert [event["type"] for event in client.events] == ["track"]


async def test_a_message_id_of_its_own_stays(client: Client) -> None:
    body = as_json(ORDER | {"messageId": "order-1001"})
    await client.post("/v1/events", body, **signed(body))

    assert client.events[0]["messageId"] == "order-1001"


# -- the secret in the configuration ---------------------------------------------------------------------------------


def source(fields: str, **env: str) -> Source:
    return parse(f"sources: [{{key: back-end, write_key: back-end-key, {fields}}}]", env, {}).sources[0]


def test_it_may_come_from_the_environment() -> None:
    found = source("signing_secret: ${SIGNING}, require_signature: true", SIGNING=SECRET)

    assert (found.signing_secret, found.require_signature) == (SECRET, True)
    assert type(found.signing_secret) is str


@pytest.mark.parametrize("secret", ["", "short", " blank-in-front", "line-end-at-the-end\n"])
def test_a_secret_that_is_none(secret: str) -> None:
    with pytest.raises(ConfigError) as caught:
        source("signing_secret: ${SIGNING}", SIGNING=secret)

    (fault,) = caught.value.faults
    assert (fault.path, fault.message) == ("sources[0].signing_secret", "this can't be a signing secret")


def test_to_require_signatures_takes_a_secret() -> None:
    with pytest.raises(ConfigError, match="require_signature is true and there is no signing_secret"):
        source("require_signature: true")


def test_it_is_never_shown() -> None:
    for text in (repr(BACK_END), str([BACK_END]), pretty_repr(BACK_END)):
        assert "***" in text
        assert SECRET not in text
        assert "back-end-key" not in text
    # By this mark it is masked in the list of what an `apply` changes.
    (notes,) = [unwrap(field.type)[1] for field in msgspec.structs.fields(Source) if field.name == "signing_secret"]
    assert Masked() in notes
