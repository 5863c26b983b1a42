"""Criteo server-to-server website events ("S2S"): what OneTag sends from a page, sent from a server instead.

An event goes to `widget.criteo.com/m/event` with the account and the mapping key as its only credentials; Criteo
redirects it (307) to the region of its data. The visitor is known by the GUM ID that Criteo gave the browser, by
hashes of the e-mail address, and by ids of the device and the shop.
"""

from firsthand.vendors.base import Vendor
from firsthand.vendors.criteo_s2s.answer import judge
from firsthand.vendors.criteo_s2s.events import EVENTS
from firsthand.vendors.criteo_s2s.request import build, endpoints
from firsthand.vendors.criteo_s2s.settings import CriteoS2S
from firsthand.vendors.criteo_s2s.sync import sync
from firsthand.vendors.products import in_store

IN_STORE_TOO_OLD = "Criteo answers 200 to sales in a shop that are over 2 days old, and silently discards them"
ONLINE_TOO_OLD = "Criteo wants what happens on a site in near real time"

VENDOR = Vendor(
    key="criteo-s2s",
    name="Criteo Server-to-Server",
    brand="Criteo",
    category="Advertising",
    documentation="https://guides.criteotilt.com/onetag/s2s (protocol s2s_v0, body s2s_v1.0.0)",
    version="1",
    settings=CriteoS2S,
    events=EVENTS,
    build=build,
    judge=judge,
    endpoints=endpoints,
    hosts=("*.criteo.com",),
    max_age=lambda settings, event: settings.max_age_offline if in_store(event) else settings.max_age_online,
    too_old=lambda event: IN_STORE_TOO_OLD if in_store(event) else ONLINE_TOO_OLD,
    tcf_vendor_id=91,
    id_name="criteo_gum_id",
    id_caller=lambda settings: settings.mapping_key,
    sync=sync,
)
