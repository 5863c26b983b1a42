"""What GPP strings say, as the IAB's own library (@iabgpp/cmpapi 3.2.0) writes them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.consent.tc_strings import GRANTS_CRITEO, GRANTS_NOTHING

from firsthand.config import Cookies
from firsthand.consent import Policy, decide_consent, is_answer
from firsthand.consent.gpp import decode
from firsthand.consent.storage import may_store

NOTHING = [
    ("DBABLA~CAAqAAAAAABA.QA", "the United States"),
    ("DBABLA~BAAqAAAAAQA.QA", "the United States, version 1"),
    ("DBABBg~BAoAAABA.QA", "California"),
    ("DBABEYA~BQCg.QA", "Maryland"),
    ("DBABLA~CAAqAAAAAKhA.QA", "a child with consent"),
]
OPTED_OUT = [
    ("DBABLA~CAAaAAAAAABA.QA", "opted out in the United States"),  # sale
    ("DBABLA~CAAmAAAAAABA.QA", "opted out in the United States"),  # sharing
    ("DBABLA~CAApAAAAAABA.QA", "opted out in the United States"),  # targeted advertising
    ("DBABLA~BAAaAAAAAQA.QA", "opted out in the United States"),  # by version 1
    ("DBABLA~CAAqAAAAAGhA.QA", "a child without consent in the United States"),
    ("DBABLA~CAAqAAAAAABA.YA", "Global Privacy Control in the United States"),
    ("DBABBg~BAkAAABA.QA", "opted out in California"),  # sharing
    ("DBABEYA~BQCQ.QA", "opted out in Maryland"),  # targeted advertising
]
ADVERTISER = Policy(basis="categories")
YES = {"categories": {"marketing": True}}


@pytest.mark.parametrize(("string", "where"), NOTHING)
def test_who_has_not_opted_out(string: str, where: str) -> None:
    assert decode(string).opted_out == "", where
    assert decide_consent({**YES, "gpp": string}, ADVERTISER).decision == "allow"


@pytest.mark.parametrize(("string", "detail"), OPTED_OUT)
def test_who_has_opted_out(string: str, detail: str) -> None:
    assert decode(string).opted_out == detail
    decision = decide_consent({**YES, "gpp": string}, ADVERTISER)
    assert (decision.decision, decision.basis, decision.detail) == ("refuse", "gpp", detail)
    assert is_answer({"gpp": string})


def test_an_opt_out_is_about_advertising() -> None:
    personalisation = Policy(basis="categories", advertising=False)
    assert decide_consent({**YES, "gpp": OPTED_OUT[0][0]}, personalisation).decision == "allow"


def test_the_examples_of_the_specification() -> None:
    both = decode("DBACNY~CPXxRfAPXxRfAAfKABENB-CgAAAAAAAAAAYgAAAAAAAA~1YNN")
    assert both.tc_string == "CPXxRfAPXxRfAAfKABENB-CgAAAAAAAAAAYgAAAAAAAA"
    assert both.us_privacy == "1YNN"
    assert decode("DBABjw~BPXuQIAPXuQIAAfKABENB-CgAAAAAAAAAAAAAAAA~1YNN").us_privacy == "1YNN"  # 5 to 6, as a range


def test_only_the_laws_that_apply_count() -> None:
    california = OPTED_OUT[6][0]
    assert decide_consent({**YES, "gpp": california, "gppSid": [7]}, ADVERTISER).decision == "allow"
    assert decide_consent({**YES, "gpp": california, "gppSid": [8]}, ADVERTISER).decision == "refuse"
    assert decide_consent({**YES, "gpp": california, "gppSid": [-1]}, ADVERTISER).decision == "refuse"


def test_its_tc_string_and_us_privacy_count_like_any() -> None:
    by_tcf = Policy(basis="tcf", vendor_id=91)
    assert decide_consent({"gpp": f"DBABM~{GRANTS_CRITEO}"}, by_tcf).decision == "allow"
    assert decide_consent({"gpp": f"DBABM~{GRANTS_NOTHING}"}, by_tcf).decision == "refuse"
    assert decide_consent({**YES, "gpp": "DBABT~1YYN"}, ADVERTISER).basis == "us_privacy"
    assert may_store({"gpp": f"DBABM~{GRANTS_CRITEO}"}, Cookies())
    assert not may_store({"gpp": f"DBABM~{GRANTS_NOTHING}"}, Cookies())


def test_what_the_event_says_itself_wins() -> None:
    own = {"tcf": {"gdprApplies": True, "tcString": GRANTS_CRITEO}, "gpp": f"DBABM~{GRANTS_NOTHING}"}
    assert decide_consent(own, Policy(basis="tcf", vendor_id=91)).decision == "allow"


@pytest.mark.parametrize(
    ("string", "why"),
    [
        (GRANTS_CRITEO, "it does not begin as a GPP string does"),
        ("DCABM~C", "version 2 is not known here"),
        ("DBABM", "its header lists 1 sections, and it has 0"),
        ("DBABBg~BA", "it is cut short"),
        ("DBABBg~CAYAAABA.QA", "version 2 of section 8 is not known here"),
        ("~~", "it is empty"),
        ("D" * 20_001, "more than 20000"),
    ],
)
def test_what_cannot_be_read_is_a_refusal(string: str, why: str) -> None:
    decision = decide_consent({**YES, "gpp": string}, ADVERTISER)
    assert decision.decision == "refuse"
    assert decision.detail.startswith("the GPP string can't be read")
    assert why in decision.detail


def test_a_section_that_is_not_known_stops_only_where_it_applies() -> None:
    section_28 = "DBABKY~BA"
    assert decide_consent({**YES, "gpp": section_28}, ADVERTISER).decision == "allow"
    assert decide_consent({**YES, "gpp": section_28, "gppSid": [28]}, ADVERTISER).decision == "refuse"


@given(st.one_of(st.text(alphabet="DBACNYabcdef0123456789-_~.", max_size=60), st.text(max_size=40)))
def test_nothing_is_raised_whatever_it_holds(text: str) -> None:
    assert decide_consent({**YES, "gpp": text}, ADVERTISER).decision in ("allow", "refuse")
