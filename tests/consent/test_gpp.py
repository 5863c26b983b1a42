"""What GPP strings say, as the IAB's own library (@iabgpp/cmpapi 3.2.0) writes them."""

import base64

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


FIELDS = [
    # section, what it is about, version, notices, opt-outs, kinds of sensitive data, consents for children
    (7, "the United States", 1, 6, 3, 12, 2),
    (7, "the United States", 2, 6, 3, 16, 3),
    (8, "California", 1, 3, 2, 9, 2),
    (9, "Virginia", 1, 3, 2, 8, 1),
    (10, "Colorado", 1, 3, 2, 7, 1),
    (11, "Utah", 1, 4, 2, 8, 1),
    (12, "Connecticut", 1, 3, 2, 8, 3),
    (13, "Florida", 1, 3, 2, 8, 3),
    (14, "Montana", 1, 3, 2, 8, 3),
    (15, "Oregon", 1, 3, 2, 11, 3),
    (16, "Texas", 1, 3, 2, 8, 1),
    (17, "Delaware", 1, 3, 2, 9, 5),
    (18, "Iowa", 1, 4, 2, 8, 1),
    (19, "Nebraska", 1, 3, 2, 8, 1),
    (20, "New Hampshire", 1, 3, 2, 8, 3),
    (21, "New Jersey", 1, 3, 2, 10, 5),
    (22, "Tennessee", 1, 3, 2, 8, 1),
    (23, "Minnesota", 1, 3, 2, 8, 1),
    (24, "Maryland", 1, 5, 2, 0, 0),
    (25, "Indiana", 1, 5, 2, 0, 1),
    (26, "Kentucky", 1, 5, 2, 0, 1),
    (27, "Rhode Island", 1, 5, 2, 0, 1),
]
"""How many fields of two bits a section has of each kind, one after the other."""


@pytest.mark.parametrize(("section", "where", "version", "notices", "opt_outs", "sensitive", "children"), FIELDS)
def test_each_law_has_its_fields_where_its_specification_says(
    section: int, where: str, version: int, notices: int, opt_outs: int, sensitive: int, children: int
) -> None:
    """A 1 in one field after the other: in a notice it says that it was given, in an opt-out that the visitor did, for
    a child that nobody consented. What is said of sensitive data, and the fields behind, are not about advertising."""
    said = [
        *[""] * notices,
        *[f"opted out in {where}"] * opt_outs,
        *[""] * sensitive,
        *[f"a child without consent in {where}"] * children,
        *[""] * 5,
    ]
    for place, expected in enumerate(said):
        fields = [1 if number == place else 2 for number in range(len(said))]
        assert decode(written(section, version, fields)).opted_out == expected, f"field {place}"


def written(section: int, version: int, fields: list[int]) -> str:
    """A string with one section."""
    numbers = [1, 2, 3, 5, 8, 13, 21]  # the section's number is written as a sum of these, the last followed by a 1
    chosen, left = set(), section
    for number in reversed(numbers):
        if number <= left:
            chosen.add(number)
            left -= number
    fibonacci = "".join("1" if number in chosen else "0" for number in numbers if number <= max(chosen)) + "1"
    header = f"{3:06b}{1:06b}{1:012b}0{fibonacci}"
    return f"{letters(header)}~{letters(f'{version:06b}' + ''.join(f'{field:02b}' for field in fields))}"


def letters(bits: str) -> str:
    padded = bits + "0" * (-len(bits) % 24)
    return base64.urlsafe_b64encode(int(padded, 2).to_bytes(len(padded) // 8)).decode()


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


def test_its_tc_string_is_no_answer_either_while_the_tool_still_asks() -> None:
    asking = {"tcf": {"gdprApplies": True, "eventStatus": "cmpuishown"}, "gpp": f"DBABM~{GRANTS_CRITEO}"}
    assert decide_consent(asking, Policy(basis="tcf", vendor_id=91)).decision == "hold"


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
