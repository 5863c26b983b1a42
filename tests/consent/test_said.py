"""What a `context.consent` says, in the ways in which sites and servers write it. A refusal is heard in any of them."""

from typing import Any

import pytest

from firsthand.consent import Policy
from firsthand.consent.decide import decide_consent
from firsthand.consent.said import read

NO = [False, "false", "False", 0, 0.0, "0", "no", "n", "denied", "declined", "opt_out", "opt-out", "optout"]
NO += ["Opted out", "withdrawn", "revoked", "not granted", "refused", "off"]
YES = [True, "true", 1, 1.0, "1", "yes", "y", "granted", "accepted", "opt-in", "opted_in", "on"]
NEITHER = [None, "", "null", "maybe", 2, -1, 0.5, [], {}, ["marketing"], "x" * 10_000]


@pytest.mark.parametrize("name", ["marketing", "Marketing", "MARKETING"])
@pytest.mark.parametrize(
    ("answers", "meant"), [(NO, False), (YES, True), (NEITHER, None)], ids=["no", "yes", "neither"]
)
def test_an_answer_to_a_category(name: str, answers: list[Any], meant: bool | None) -> None:
    for answer in answers:
        assert read({"categories": {name: answer}}).categories.get("marketing") is meant, answer


def test_of_two_writings_of_one_category_a_no_wins() -> None:
    for categories in ({"Marketing": False, "marketing": True}, {"marketing": True, "MARKETING": "denied"}):
        assert read({"categories": categories}).categories["marketing"] is False


@pytest.mark.parametrize("string", ["", " ", "null", "undefined", "None", None])
def test_where_a_program_writes_that_there_is_no_string_nothing_was_answered_yet(string: Any) -> None:
    consent = {"tcf": {"tcString": string}}
    assert decide_consent(consent, Policy(basis="tcf")).decision == "hold"
    assert decide_consent(consent, Policy()).decision == "allow"


def test_the_us_privacy_string_also_has_the_name_that_its_standard_gives_it() -> None:
    assert decide_consent({"us_privacy": "1YYN"}, Policy()).decision == "refuse"
