"""Consent: what the visitor allowed, read from the event, and what it means for one integration."""

from .decide import decide, decide_unknown
from .decision import Decision, Policy

__all__ = ["Decision", "Policy", "decide", "decide_unknown"]
