"""What consent, cookies and identity cost the collector: the same events from servers, and from pages.

All go to one gateway, in turns, so that what else the machine does meanwhile falls on all of them alike.
"""

import statistics

from bench.gateway import Gateway

SENDERS = ("server", "page", "visitor")
TURNS = 5
"""In each run; a sender's figure is the median over all turns."""
Row = tuple[str, str, str]


def rows(runs: int, events: int) -> list[Row]:
    return [of_batches(runs, events, batch) for batch in (1, 5)]


def of_batches(runs: int, events: int, batch: int) -> Row:
    share = events // TURNS
    found: dict[str, list[float]] = {sender: [] for sender in SENDERS}
    with Gateway() as gateway:
        for sender in SENDERS:
            gateway.load(1_000, batch, 64, sender=sender)
        for _ in range(runs * TURNS):
            for sender in SENDERS:
                before = gateway.cpu("collect")
                gateway.load(share, batch, 64, sender=sender)
                found[sender].append((gateway.cpu("collect") - before) / share * 1e6)
    server, page, visitor = (statistics.median(found[sender]) for sender in SENDERS)
    what = f"batches of {batch}" if batch > 1 else "single posts"
    return (
        f"CPU per event in collect, {what} of visitors with cookies, against pages without identity",
        f"{visitor:.0f} µs against {page:.0f} µs ({visitor / page - 1:+.0%}; servers: {server:.0f} µs)",
        "≤ +15 %",
    )
