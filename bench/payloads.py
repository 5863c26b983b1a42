"""From event to bytes: how many Criteo payloads one core builds."""

import json
import statistics
import time

from bench.load import event
from firsthand.consent import Decision
from firsthand.event import decoder
from firsthand.vendors.base import Identity, Input, Setup
from firsthand.vendors.criteo_s2s import VENDOR

Row = tuple[str, str, str]
COUNT = 20_000


def rows(runs: int) -> list[Row]:
    settings = VENDOR.settings(partner_id="12345", mapping_key="123")
    setup = Setup(settings, VENDOR.endpoints(settings, None))
    raw = [json.dumps(event(number, number)).encode() for number in range(COUNT)]
    allow, identity = Decision("allow", "none"), Identity({"criteo_gum_id": "abc-def"})
    rates = []
    for _ in range(runs):
        started = time.process_time()
        for data in raw:
            VENDOR.build(setup, [Input(decoder.decode(data), "Order Completed", identity, allow)])
        rates.append(COUNT / (time.process_time() - started))
    return [
        (
            "Criteo payloads a second on one core, from stored event to bytes",
            f"{statistics.median(rates):,.0f}",
            "≥ 20,000",
        )
    ]
