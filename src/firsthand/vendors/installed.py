"""A vendor installed with an integration's settings: what it is given to work with, and what it asks of consent."""

from typing import Any

from firsthand.config import Integration
from firsthand.consent import Policy
from firsthand.consent.switches import plain
from firsthand.vendors.base import AnyVendor, Setup


def setup_of(integration: Integration, vendor: AnyVendor, emulator_url: str) -> Setup[Any]:
    """The settings with whole addresses: an integration in `sandbox` sends to the emulators."""
    base = emulator_url if integration.environment == "sandbox" else None
    endpoints = vendor.endpoints(integration.settings, base)
    return Setup(integration.settings, {**endpoints, **integration.endpoints})


def policy_of(integration: Integration, vendor: AnyVendor) -> Policy:
    rule = integration.consent_rule
    return Policy(
        basis=rule.basis,
        on_refusal=rule.on_refusal,
        purposes=rule.purposes,
        categories=rule.categories,
        vendor_id=vendor.tcf_vendor_id,
        advertising=vendor.advertising,
        names=tuple(plain(name) for name in (integration.key, vendor.key, vendor.name, vendor.brand) if name),
    )
