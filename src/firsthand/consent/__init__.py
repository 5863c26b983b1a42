"""Consent: what the visitor allowed, read from the event, and what it means for one integration."""

from .decide import GivenAnswer, decide, decide_again, decide_consent, decide_opted_out, decide_unknown, is_answer
from .decision import Decision, Policy

__all__ = [
    "Decision",
    "GivenAnswer",
    "Policy",
    "decide",
    "decide_again",
    "decide_consent",
    "decide_opted_out",
    "decide_unknown",
    "is_answer",
]
