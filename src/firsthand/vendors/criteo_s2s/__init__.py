"""Criteo server-to-server website events ("S2S"): what OneTag sends from a page, sent from a server instead.

An event goes to `widget.criteo.com/m/event` with the account and the mapping key as its only credentials; Criteo
redirects it (307) to the region of its data. The visitor is known by the GUM ID that Criteo gave the browser, by
hashes of the e-mail address, and by ids of the device and the shop.
"""

from firsthand.event import Event
from firsthand.vendors.base import Vendor
from firsthand.vendors.criteo_s2s.answer import judge
from firsthand.vendors.criteo_s2s.events import EVENTS
from firsthand.vendors.criteo_s2s.request import build
from firsthand.vendors.criteo_s2s.settings import CriteoS2S


def endpoints(settings: CriteoS2S, emulator_base: str | None) -> dict[str, str]:
    """`events`, by region, and `gum`, the sync that gives a browser its GUM ID.

    Criteo's guide writes the regional addresses with http; they answer on https, and events hold personal data.
    """
    region = settings.region
    if emulator_base is None:
        host = "widget.criteo.com" if region == "auto" else f"widget.{region}.criteo.com"
        return {"events": f"https://{host}/m/event?version=s2s_v0", "gum": "https://gum.criteo.com/sync"}
    base = emulator_base.rstrip("/") + "/criteo-s2s"
    return {"events": f"{base}/m/event" if region == "auto" else f"{base}/{region}/m/event", "gum": f"{base}/sync"}


def max_age(settings: CriteoS2S, event: Event) -> float | None:
    """Sales made in a shop are reported in batches, so they have a limit of their own."""
    offline = event.properties.get("channel") == "in_store"
    return settings.max_age_offline if offline else settings.max_age_online


VENDOR = Vendor(
    key="criteo-s2s",
    name="Criteo Server-to-Server",
    category="Advertising",
    documentation="https://guides.criteotilt.com/onetag/s2s (protocol s2s_v0, body s2s_v1.0.0)",
    version="1",
    settings=CriteoS2S,
    events=EVENTS,
    build=build,
    judge=judge,
    endpoints=endpoints,
    hosts=("*.criteo.com",),
    max_age=max_age,
    tcf_vendor_id=91,
    id_name="criteo_gum_id",
    id_caller=lambda settings: settings.mapping_key,
)
