"""Which of a visitor's answers on consent are remembered: the newest, and of each kind of answer the newest one."""

from typing import Any, NamedTuple

import pytest
from tests.consent.tc_strings import GRANTS_CRITEO, REFUSES_PURPOSES, encode

from firsthand.identity.answers import MOST, NEWEST, kept

NO = {"categories": {"marketing": False}}
ABROAD = {"tcf": {"gdprApplies": False}}


class Answer(NamedTuple):
    consent: dict[str, Any]


def tcf(string: str) -> dict[str, Any]:
    return {"tcf": {"gdprApplies": True, "tcString": string}}


def remembered(*consents: dict[str, Any]) -> list[dict[str, Any]]:
    """What is left of these, from the oldest on, when many others came after them that all say the same thing."""
    others = [{"usPrivacy": "1YN-", "gppSid": [number]} for number in range(NEWEST + 5)]
    answers = [answer.consent for answer in kept([Answer(consent) for consent in [*consents, *others]])]
    assert answers[-NEWEST:] == others[-NEWEST:], "the newest are there, whatever they say"
    return answers[:-NEWEST]


@pytest.mark.parametrize(
    "answer",
    [
        NO,
        {"categories": {"analytics": True}},
        {"gpc": True},
        {"usPrivacy": "1YYN"},
        {"gpp": "DBABBg~BAkAAABA.QA"},  # opted out in California
        ABROAD,
        tcf(GRANTS_CRITEO),
        tcf(REFUSES_PURPOSES),
    ],
)
def test_an_answer_of_another_kind_is_not_forgotten(answer: dict[str, Any]) -> None:
    assert remembered(answer) == [answer]


def test_of_one_kind_the_newest() -> None:
    assert remembered({**ABROAD, "n": 1}, {**ABROAD, "n": 2}) == [{**ABROAD, "n": 2}]
    assert remembered({**tcf(GRANTS_CRITEO), "n": 1}, {**tcf(GRANTS_CRITEO), "n": 2})[0]["n"] == 2
    assert remembered({"usPrivacy": "1YN-"}) == []


def test_where_gdpr_does_not_apply_no_string_makes_it_another_answer() -> None:
    with_string = {"tcf": {"gdprApplies": False, "tcString": GRANTS_CRITEO}}
    assert remembered(with_string, ABROAD) == [ABROAD]


def test_strings_that_grant_other_purposes_or_no_vendor_are_of_other_kinds() -> None:
    strings = [
        encode(purposes, vendors) for purposes in ([1, 2, 3, 4], [1, 3, 4], [1, 3], [1]) for vendors in ([91], [])
    ]
    assert remembered(*map(tcf, strings)) == [*map(tcf, strings)]
    assert remembered(tcf(encode([1, 3, 4], [91])), tcf(encode([1, 3, 4], [91, 755]))) == [
        tcf(encode([1, 3, 4], [91, 755]))
    ], "which vendors were asked about is no kind of its own"


def test_a_string_that_cannot_be_read_is_no_answer_to_remember() -> None:
    assert remembered(tcf("none of that")) == []


def test_there_is_an_end_to_kinds() -> None:
    made_up = [{"categories": {f"category-{number}": False}} for number in range(2 * MOST)]
    assert remembered(*made_up) == made_up[-(MOST - NEWEST) :]
