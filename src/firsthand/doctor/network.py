"""Can the vendors be reached, and do they agree with us what time it is?"""

import asyncio
import ssl
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from urllib.parse import urlsplit

from firsthand.config import Integration
from firsthand.config.values import is_loopback
from firsthand.doctor.context import Context
from firsthand.doctor.finding import Finding, Severity, error, judged, ok, warning
from firsthand.doctor.probe import Address, Probe, probe
from firsthand.terminal.times import span
from firsthand.vendors import VendorError, get

EXPIRES_SOON_DAYS = 14
CLOCK_SECONDS, CLOCK_WRONG_SECONDS = 10.0, 120.0
DAY = 86_400
REMEDIES = {
    "dns": "check the name, and this machine's DNS servers (/etc/resolv.conf)",
    "tcp": "check the firewall: the gateway needs to reach this port from here",
    "tls": "check the clock, this machine's CA certificates, and whether a proxy answers in the vendor's place",
    "http": "something else than the vendor answers there: look for a proxy on the way",
}


def endpoints(context: Context, tls: ssl.SSLContext | None = None) -> Iterator[Finding]:
    """Each enabled integration's endpoints: name, connection, encryption, certificate. No event is sent."""
    wanted = [
        (integration, name, url)
        for integration in context.integrations
        for name, url in _endpoints(integration, context.settings.emulator_url).items()
    ]
    probes = asyncio.run(_probe_all({_address(url) for _, _, url in wanted}, tls or ssl.create_default_context()))
    for integration in context.integrations:
        names: dict[Address, list[str]] = {}
        for one, name, url in wanted:
            if one is integration:
                names.setdefault(_address(url), []).append(name)
        for address, called in names.items():
            yield _finding(integration, ", ".join(called), address, probes[address])
    others = [found for address, found in probes.items() if not is_loopback(address.host)]
    yield from _clock([found.clock_ahead for found in others if found.clock_ahead is not None])


def _endpoints(integration: Integration, emulator: str) -> dict[str, str]:
    """As delivery has them."""
    try:
        vendor = get(integration.vendor)
    except VendorError:
        return {}
    base = emulator if integration.environment == "sandbox" else None
    return {**vendor.endpoints(integration.settings, base), **integration.endpoints}


def _address(url: str) -> Address:
    parts = urlsplit(url)
    return Address(parts.scheme, parts.hostname or "", parts.port or {"https": 443}.get(parts.scheme, 80))


async def _probe_all(addresses: set[Address], tls: ssl.SSLContext) -> dict[Address, Probe]:
    ordered = sorted(addresses)
    found = await asyncio.gather(*(probe(one, "/healthz" if _is_here(one) else None, tls) for one in ordered))
    return dict(zip(ordered, found, strict=True))


def _is_here(address: Address) -> bool:
    return address.scheme == "http" and is_loopback(address.host)


def _finding(integration: Integration, names: str, address: Address, found: Probe) -> Finding:
    id, title = "vendor.endpoint", f"{integration.key} {names}"
    place = f"{address.scheme}://{address.host}" + (f":{address.port}" if address.port not in (80, 443) else "")
    if found.failed:
        remedy = REMEDIES[found.failed]
        if _is_here(address) and integration.environment == "sandbox":
            remedy = "start the emulators: `firsthand emulate`; or set FIRSTHAND_EMULATOR_URL to where they are"
        return error(id, title, f"{place}: {found.failed.upper()} fails: {found.message}", remedy, step=found.failed)
    steps = {"DNS": found.dns_ms, "TCP": found.tcp_ms, "TLS": found.tls_ms}
    reached = f"{place}: " + ", ".join(f"{step} {ms:.0f} ms" for step, ms in steps.items() if ms is not None)
    numbers = {"dns_ms": found.dns_ms, "tcp_ms": found.tcp_ms, "tls_ms": found.tls_ms}
    if found.certificate_ends is not None:
        days = (found.certificate_ends - time.time()) / DAY
        ends = datetime.fromtimestamp(found.certificate_ends, UTC).date().isoformat()
        numbers["certificate_days"] = round(days, 1)
        if days < EXPIRES_SOON_DAYS:
            remedy = "whose certificate it is must renew it; deliveries fail from that day on"
            return warning(id, title, f"{place}: the certificate ends on {ends}", remedy, **numbers)
        return ok(id, title, f"{reached}, certificate until {ends}", **numbers)
    if integration.environment == "production":
        remedy = "give the vendor's own https:// address, unless this is a proxy of yours that encrypts"
        return warning(id, title, f"{place} is not encrypted, and on this machine", remedy, **numbers)
    return ok(id, title, f"{reached} (the emulator)", **numbers)


def _clock(ahead: list[float]) -> Iterator[Finding]:
    """Ours against those of the vendors; the one in the middle counts, as one of theirs may be wrong."""
    others = sorted(ahead)
    if not others:
        yield ok("clock.vendors", "clock", "nobody to compare it with")
        return
    off = others[len(others) // 2]
    severity: Severity = "ok" if abs(off) < CLOCK_SECONDS else "warning" if abs(off) < CLOCK_WRONG_SECONDS else "error"
    found = f"agrees with {len(others)} of the endpoints"
    if severity != "ok":
        found = f"{span(abs(off))} {'ahead of' if off > 0 else 'behind'} the vendors': ages and signatures go wrong"
    remedy = "have it set by NTP: timedatectl set-ntp true"
    yield judged(severity, "clock.vendors", "clock", found, remedy, ahead_seconds=round(off, 1))
