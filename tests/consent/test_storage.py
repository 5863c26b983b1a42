"""When a cookie that recognises the visitor may be set."""

from typing import Any

import pytest
from tests.consent.tc_strings import GRANTS_CRITEO, GRANTS_CRITEO_V1, GRANTS_NOTHING, REFUSES_PURPOSES, encode

from firsthand.config import Cookies
from firsthand.consent.storage import may_store

ASK, ALWAYS = Cookies(), Cookies(requires="none")
YES = {"categories": {"marketing": True}}


@pytest.mark.parametrize(
    ("consent", "allowed"),
    [
        ({}, False),
        ({"tcf": {"gdprApplies": False}}, True),
        ({"tcf": {"gdprApplies": 0}}, True),
        ({"tcf": {"gdprApplies": True}}, False),
        ({"tcf": {"gdprApplies": True}} | YES, False),  # the page asks by TCF, and has no answer yet
        ({"tcf": {"gdprApplies": True, "tcString": GRANTS_CRITEO}}, True),
        ({"tcf": {"tcString": REFUSES_PURPOSES}}, True),  # purpose 1 alone
        ({"tcf": {"tcString": encode([3, 4], [91])}}, False),
        ({"tcf": {"gdprApplies": True, "tcString": GRANTS_CRITEO_V1}}, False),
        ({"tcf": {"gdprApplies": True, "tcString": GRANTS_NOTHING}} | YES, False),
        ({"tcf": {"gdprApplies": True, "tcString": "garbage"}} | YES, False),
        ({"tcf": {}} | YES, True),
        ({"categories": {"essential": True}}, False),
        ({"categories": {"functional": True, "marketing": False}}, True),
        ({"categories": {"analytics": True}}, True),
        ({"categories": {"personalization": True}}, True),
        ({"categories": {"marketing": "yes"}}, True),
        ({"categories": {"marketing": "perhaps"}}, False),
        ({"categories": {"marketing": False, "analytics": False}}, False),
        ({"categoryPreferences": {"marketing": True}}, True),
        ({"gpc": True}, False),
        ({"gpc": True} | YES, True),
        ({"usPrivacy": "1YNN"}, False),
        ({"tcf": [], "categories": "all"}, False),
    ],
)
def test_by_what_the_visitor_said(consent: dict[str, Any], allowed: bool) -> None:
    assert may_store(consent, ASK) is allowed
    assert may_store(consent, ALWAYS)
