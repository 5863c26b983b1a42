"""Every situation of consent as a case file: the event, the integration's rule, and what leaves for the vendor.

What needs time (a held event that is answered, a withdrawal while it is tried again) is in
`tests/deliver/test_holding.py` and `test_withdrawal.py`; what pages ask the vendor's sync, in
`tests/collect/test_sync.py`.
"""

from pathlib import Path

import pytest

from firsthand import config
from firsthand.cases import check, find, read, subject_of

FOLDER = Path(__file__).parents[2] / "examples" / "consent"
CONFIG = config.load(FOLDER / "firsthand.yaml", {})
CASES = find([FOLDER / "cases"])

SITUATIONS = {
    "GDPR does not apply": ["gdpr_does_not_apply", "gdpr_does_not_apply_as_number"],
    "applies, granted": ["tcf_granted"],
    "applies, refused": [
        "tcf_vendor_refused", "tcf_purposes_refused", "tcf_grants_nothing",
        "tcf_refused_anonymous", "tcf_refused_not_asked",
    ],
    "applies, no string yet": ["tcf_no_string_yet", "tcf_no_string_in_time", "tcf_no_string_in_time_anonymous"],
    "no answer, whatever it looks like": ["tcf_v1_string", "tcf_still_asking", "tcf_empty_string"],
    "RudderStack's words": ["rudderstack_granted", "rudderstack_refused", "rudderstack_silent"],
    "one integration by name": ["destination_granted", "destination_refused", "destination_refused_not_asked"],
    "own consent granted": ["own_granted"],
    "own consent refused": ["own_refused", "own_refused_anonymous", "own_refused_under_tcf", "own_refused_not_asked"],
    "no consent tool": ["no_cmp_tcf", "no_cmp_categories", "no_cmp_not_asked"],
    "id obtained under consent": ["id_under_consent_without_string"],
    "granted, no id": ["granted_without_gum_id"],
    "opt-out of sale": [
        "gpc", "gpc_anonymous", "gpc_not_asked", "us_opt_out", "us_opt_out_anonymous", "us_no_opt_out",
        "gpp_opt_out", "gpp_opt_out_anonymous", "gpp_no_opt_out", "gpp_elsewhere",
    ],
    "opted out at the vendor": ["opted_out_at_criteo"],
    "withdrawn later": ["withdrawn_later"],
    "minor or sensitive": ["sensitive_page", "withheld_by_the_shop"],
}  # fmt: skip


@pytest.mark.parametrize("file", CASES, ids=lambda file: file.stem)
def test_case(file: Path) -> None:
    case = read(file)
    assert check(case, subject_of(case, CONFIG)) == []


def test_each_situation_has_its_cases() -> None:
    assert sorted(name for names in SITUATIONS.values() for name in names) == [file.stem for file in CASES]
