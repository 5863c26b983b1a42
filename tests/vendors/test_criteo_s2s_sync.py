"""The GUM call: its addresses, by what is known of the visitor's consent."""

from typing import Any
from urllib.parse import parse_qs, urlsplit

import msgspec
import pytest

from firsthand.vendors.base import Setup
from firsthand.vendors.criteo_s2s import VENDOR
from firsthand.vendors.criteo_s2s.settings import CriteoS2S

SETTINGS = msgspec.convert({"partner_id": "12345", "mapping_key": "777"}, CriteoS2S)


def setup(**endpoints: str) -> Setup[CriteoS2S]:
    return Setup(SETTINGS, VENDOR.endpoints(SETTINGS, None) | endpoints)


def test_what_is_declared() -> None:
    sync = VENDOR.sync(setup(), {})
    assert sync is not None
    assert (sync.name, sync.id, sync.caller) == ("criteo", VENDOR.id_name, "777"), "the mapping key, not the account"
    assert sync.cookie == "crto_mapped_user_id"
    assert (sync.max_age, sync.retry_age) == (259_200, 86_400)


CONSENT: list[tuple[dict[str, Any], str]] = [
    ({}, ""),
    ({"categories": {"marketing": True}}, ""),
    ({"tcf": {}}, ""),
    ({"tcf": "yes"}, ""),
    ({"tcf": {"gdprApplies": False}}, "&gdpr=0"),
    ({"tcf": {"gdprApplies": False, "tcString": "CO_7c"}}, "&gdpr=0"),
    ({"tcf": {"gdprApplies": True, "tcString": "CO_7c.YAAA"}}, "&gdpr=1&gdpr_consent=CO_7c.YAAA"),
    ({"tcf": {"gdprApplies": 1, "tcString": "CO_7c"}}, "&gdpr=1&gdpr_consent=CO_7c"),
    ({"tcf": {"tcString": "CO_7c"}}, "&gdpr=1&gdpr_consent=CO_7c"),
    ({"tcf": {"gdprApplies": True, "tcString": "C{callback}&a=0"}}, "&gdpr=1&gdpr_consent=C%7Bcallback%7D%26a%3D0"),
]


@pytest.mark.parametrize(("consent", "said"), CONSENT)
def test_the_consent_goes_along(consent: dict[str, Any], said: str) -> None:
    sync = VENDOR.sync(setup(), consent)
    assert sync is not None
    assert sync.url == f"https://gum.criteo.com/sync?c=777&a=1&r=2{said}&j={{callback}}"
    assert sync.redirect_url == f"https://gum.criteo.com/sync?c=777&a=1&r=1{said}&u={{return}}"


@pytest.mark.parametrize("string", [None, "", "garbage", 5, "BO_7c"])
def test_while_gdpr_applies_without_a_string_criteo_is_not_called(string: Any) -> None:
    assert VENDOR.sync(setup(), {"tcf": {"gdprApplies": True, "tcString": string}}) is None


def test_an_endpoint_of_ones_own_keeps_its_query() -> None:
    sync = VENDOR.sync(setup(gum="https://proxy.shop.example/gum?to=criteo"), {})
    assert sync is not None
    assert parse_qs(urlsplit(sync.url).query)["to"] == ["criteo"]
    assert sync.url.count("?") == 1
