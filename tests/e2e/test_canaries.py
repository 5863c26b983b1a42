"""Nothing personal and nothing secret shows, whatever field it was put into: events full of canaries go through a whole
gateway, and every command, file of the log and answer of an error is searched for them.

The exception is what is meant to hold them: an export of a visitor, and the file of rows that an import set aside.
"""

import json
import os
import re
import subprocess
import sys
from base64 import b64encode
from collections.abc import Iterator

import pytest
from tests.gateway import Emulator, Gateway, Json, call, config, criteo, order, page, until

ADDRESS, PHONE, IP, SECRET = "canary.bird@nest.example", "+49 170 7654321", "203.0.113.99", "canary-of-a-secret"
FORMS = [
    *(ADDRESS, "canary.bird%40nest.example", "canary.bird%2540nest.example", "canary.bird%u0040nest.example"),
    *(b64encode(ADDRESS.encode()).decode(), ADDRESS.encode().hex()),
    *(PHONE, "%2B491707654321", "0170/7654321", "tel:01707654321", "(0170) 7654321"),
]
TEXT = " ; ".join(FORMS)
IN_URL = "https://shop.example/x?" + "&".join(f"p{n}={form}" for n, form in enumerate(FORMS) if " " not in form)
SHOWN = re.compile(
    "|".join(
        [
            *(r"canary\.bird", r"anary\.bir", r"7654321", re.escape(IP), SECRET),
            *(re.escape(form[:24]) for form in FORMS[4:6]),  # in base64, and in hexadecimal digits
        ]
    ),
    re.I,
)

EVERYWHERE = {
    "title": TEXT, "name": TEXT, "search": TEXT, "path": IN_URL, "url": IN_URL, "referrer": IN_URL,
    "category": TEXT, "query": TEXT, "keywords": TEXT, "channel": TEXT, "store_id": TEXT, "coupon": TEXT,
    "email": ADDRESS, "phone": PHONE, "ip": IP, "password": SECRET, "token": SECRET, "authorization": SECRET,
    ADDRESS: TEXT, PHONE: 1, "deep": [{"er": [TEXT, {ADDRESS: [PHONE]}]}],
}  # fmt: skip
FEW = {"name": TEXT, "id": ADDRESS, "version": PHONE, "url": f"https://shop.example/{ADDRESS}"}
CONTEXT = {
    "ip": IP, "userAgent": f"App/1.0 ({TEXT})", "locale": TEXT, "timezone": TEXT, "referrer": FEW,
    "page": {"url": IN_URL, "referrer": IN_URL, "title": TEXT, "path": IN_URL, "search": IN_URL},
    "traits": EVERYWHERE, "campaign": FEW, "location": FEW, "library": FEW,
    "device": {**FEW, "advertisingId": ADDRESS, "adTrackingEnabled": True, "type": TEXT},
    "consent": {"categories": {"marketing": True, ADDRESS: False}},
    "ids": {
        "criteo_gum_id": "k-abc", "raptor_coid": "3f2504e0-4f89-41d3-9a0c-0305e82c3301",
        "raptor_sid": "9b2d7f1e-06c4-4c8a-b1f3-5d2e8a7c4b10",
    },
}  # fmt: skip


def full(id: str, make: object = page, **fields: object) -> Json:
    event: Json = make(id)  # type: ignore[operator]
    return {
        **event,
        "anonymousId": f"visitor-{id}",
        "context": CONTEXT,
        "properties": {**EVERYWHERE, **event.get("properties", {})},
        "traits": EVERYWHERE,
        "integrations": {ADDRESS: False},
        "originalTimestamp": TEXT,
        **fields,
    }


EVENTS = [
    full("everything"),
    full("bought", order),
    full("named", order, userId=ADDRESS, anonymousId=PHONE),
    full("ids", context={**CONTEXT, "ids": dict.fromkeys(("criteo_gum_id", "raptor_coid", ADDRESS), ADDRESS)}),
    full("called", type="track", event=f"Order of {TEXT}"),
    full("page-name", name=TEXT),
    full("refused", order, properties={"order_id": TEXT, "currency": TEXT, "products": [{"product_id": TEXT}]}),
    full("lines", order, properties={**EVERYWHERE, "order_id": "o-7", "total": TEXT, "products": [
        {"product_id": "lamp", "price": 1, "quantity": 2, "position": TEXT, "name": TEXT},
        {"name": TEXT, "price": 3, "url": IN_URL},
    ]}),
    full("identified", type="identify", userId="ann", traits={**EVERYWHERE, "raptor_coid": ADDRESS}),
    full("alias", type="alias", userId=ADDRESS, previousId=PHONE),
    full("when", timestamp=TEXT),
    full("answer", context={**CONTEXT, "consent": {"categories": {TEXT: TEXT}, "tcf": {"tcString": TEXT}}}),
]  # fmt: skip
ORDERS = f"""\
order,customer,day,mail
o-1,c-1,2026-11-20,{ADDRESS}
{ADDRESS},c-2,{PHONE},x
"{TEXT}",{ADDRESS},{TEXT},{IP}
"""
MAPPING = """\
format: {type: csv}
event:
  name: Order Completed
  userId: {column: customer}
  timestamp: {column: day}
  properties.order_id: {column: order}
  traits.email: {column: mail}
"""


class Commands:
    """Runs commands as an operator types them, and keeps all that they printed."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self.said: dict[str, str] = {}

    def __call__(self, *arguments: str, data: bool = True) -> str:
        where = ["--data", str(self._gateway.data)] if data else []
        env = {**os.environ, **self._gateway._env, "COLUMNS": "1000", "WRITE_KEY": SECRET, "SIGNING": SECRET * 2}
        ended = subprocess.run(
            [sys.executable, "-m", "firsthand", *arguments, *where],
            capture_output=True, text=True, timeout=90, env=env, cwd=self._gateway.directory,
        )  # fmt: skip
        self.said[" ".join(arguments)] = ended.stdout + ended.stderr
        assert "Traceback" not in ended.stderr
        return ended.stdout


def both(command: Commands, *arguments: str) -> None:
    command(*arguments)
    command(*arguments, "--json")


@pytest.fixture(scope="module")
def said(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """All that was printed, by what printed it."""
    folder = tmp_path_factory.mktemp("canaries")
    raptor = {"key": "raptor", "vendor": "raptor", "settings": {"customer_id": "1234"}}
    setup = config(criteo(), raptor, sources=[
        {"key": "web-shop", "write_key": SECRET, "signing_secret": SECRET * 2, "origins": ["https://shop.example"]}
    ])  # fmt: skip
    with Emulator(folder) as vendor, Gateway(folder, setup, vendor) as gateway:
        command, send = Commands(gateway), lambda *events: gateway.send(*events, write_key=SECRET)
        vendor.fault("status_500", rate=1.0)
        answers = [send(*EVENTS)]
        until("some wait", lambda: gateway.counts()["retrying"], 15)
        both(command, "status")
        both(command, "trace", "bought")
        vendor.behave()
        for path in (f"/v1/{ADDRESS}", f"/v1/{PHONE}".replace(" ", "")):
            with pytest.raises(AssertionError) as refused:
                call(gateway.port, "POST", path, {"writeKey": SECRET})
            answers.append(str(refused.value).partition(": ")[2].partition(" ")[2])
        gateway.settle()
        for event in EVENTS:
            both(command, "trace", event["messageId"])
        for arguments in (
            ("status",), ("doctor",), ("events",), ("events", "--state", "dead"), ("events", "--about", ADDRESS),
            ("replay", "--integration", "criteo", "--dry-run"), ("replay", "--integration", "criteo"),
            ("replays",), ("visitor", "erase", "--email", ADDRESS, "--dry-run"),
            ("visitor", "erase", "--user-id", "ann", "--dry-run"),
            ("consent", "verify"),
        ):  # fmt: skip
            both(command, *arguments)
        command("consent", "export")
        gateway.settle()
        command("export")
        (folder / "orders.csv").write_text(ORDERS)
        (folder / "mapping.yaml").write_text(MAPPING)
        assert ADDRESS in command("visitor", "export", "--email", ADDRESS)
        command.said.popitem()
        command("import", "orders.csv", "--source", "web-shop", "--map", "mapping.yaml")
        command("import", "orders.csv", "--source", "web-shop", "--map", "mapping.yaml", "--json")
        (folder / "new.yaml").write_text(json.dumps(setup | {"integrations": [criteo(settings={
            "partner_id": TEXT, "mapping_key": ADDRESS})]}))  # fmt: skip
        changed = [{"key": "web-shop", "write_key": "${WRITE_KEY}x", "signing_secret": "${SIGNING}x"}]
        (folder / "changed.yaml").write_text(json.dumps(setup | {"sources": changed}))
        both(command, "plan", "new.yaml")
        both(command, "plan", "changed.yaml")
        both(command, "apply", "changed.yaml", "--yes")
        command("export")
        case = {"title": "x", "vendor": "criteo-s2s", "settings": criteo()["settings"], "event": EVENTS[1],
                "expect": {"requests": [{"method": "POST", "url": IN_URL, "body": EVERYWHERE}]}}  # fmt: skip
        (folder / "case.json").write_text(json.dumps(case))
        command("check", "case.json", data=False)
        command("check", "case.json", "--json", data=False)
        both(command, "visitor", "erase", "--email", ADDRESS, "--yes")
        gateway.stop()
        yield {
            **command.said,
            "answers": json.dumps(answers),
            "the log of serve": gateway.output,
        }


def test_what_shows_is_masked(said: dict[str, str]) -> None:
    for what in ("trace everything", "trace everything --json", "events", "status", "check case.json", "plan new.yaml"):
        assert "c***@nest.example" in said[what], what
    assert '"state": "delivered"' in said["trace bought --json"]


def test_no_canary_shows(said: dict[str, str]) -> None:
    shown = {
        f"{what}: {text[max(0, found.start() - 60) : found.end() + 20]}"
        for what, text in said.items()
        for found in SHOWN.finditer(text)
    }
    assert sorted(shown) == []
    assert all(text.strip() for text in said.values())
