"""The GUM call: a browser asks Criteo for the id by which Criteo knows it, salted for one caller."""

from typing import Any

from firsthand.vendors.base import Setup, Sync
from firsthand.vendors.criteo_s2s.settings import CriteoS2S
from firsthand.vendors.visitor import tcf_of, tcf_query


def sync(setup: Setup[CriteoS2S], consent: dict[str, Any]) -> Sync | None:
    """`a=1` makes an id where there is none; `r` is how it comes back. While GDPR applies without a string: no call."""
    gum, caller, gdpr = setup.endpoints["gum"], setup.settings.mapping_key, tcf_query(consent, "gdpr", "gdpr_consent")
    if tcf_of(consent)[0] and not gdpr:
        return None
    url = f"{gum}{'&' if '?' in gum else '?'}c={caller}&a=1"
    script, redirect = f"{url}&r=2{gdpr}&j={{callback}}", f"{url}&r=1{gdpr}&u={{return}}"
    id, cookie = "criteo_gum_id", "crto_mapped_user_id"
    return Sync(name="criteo", id=id, caller=caller, url=script, redirect_url=redirect, cookie=cookie)
