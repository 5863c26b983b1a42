"""Cases as files: an event in, and what is to become of it at a vendor. Run without a network, as in CI.

case = read(Path("cases/sale.yaml"))
wrong = check(case, subject_of(case))
"""

from firsthand.cases.case import Case, CaseError, Expectation, find, read
from firsthand.cases.compare import Difference, check
from firsthand.cases.rehearse import Outcome, Subject, rehearse, subject_of

__all__ = [
    "Case",
    "CaseError",
    "Difference",
    "Expectation",
    "Outcome",
    "Subject",
    "check",
    "find",
    "read",
    "rehearse",
    "subject_of",
]
