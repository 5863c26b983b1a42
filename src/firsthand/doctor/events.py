"""Do the events carry what the vendors need? These look at the newest events of each source."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from itertools import zip_longest

from firsthand.config import Integration
from firsthand.doctor.catalogue import Catalogue, CatalogueError
from firsthand.doctor.context import Context
from firsthand.doctor.finding import Finding, Severity, error, judged, ok, warning
from firsthand.event import Event
from firsthand.personal import mask_text
from firsthand.terminal.console import counted
from firsthand.terminal.times import span
from firsthand.times import read_time
from firsthand.vendors import VendorError, get
from firsthand.vendors.fields import Fields

HALF, SKEWED = 0.5, 0.1
MATCHED_WELL, MATCHED_BADLY = 0.98, 0.5
EXAMPLES = 3
OFTEN = 0.05
ENOUGH = 20
"""Events of a source; fewer say nothing of the rest."""


def coverage(context: Context) -> Iterator[Finding]:
    """By what each source's visitors are known, and whether their consent is."""
    if not context.sample.events:
        yield ok("events.coverage", "events", "none yet: send one, as docs/collect.md shows")
    for source, events in context.sample.events.items():
        takers = [integration for integration in context.integrations if integration.takes_source(source)]
        shares = {name: _share(events, has) for name, has in _carried(takers).items()}
        said = ", ".join(f"{name} {share:.0%}" for name, share in shares.items())
        found = f"{counted(len(events), 'event')}: {said}"
        remedies = [] if len(events) < ENOUGH else list(_missing(shares, takers))
        numbers = {"source": source, "events": len(events), "shares": {name: round(s, 4) for name, s in shares.items()}}
        if remedies:
            yield warning("events.coverage", source, found, "; ".join(remedies), **numbers)
        else:
            yield ok("events.coverage", source, found, **numbers)


def _carried(takers: Sequence[Integration]) -> dict[str, Callable[[Event], bool]]:
    """What may be in an event, by the name it is shown with."""

    def known_by(name: str) -> Callable[[Event], bool]:
        # A vendor's id may be said to belong to one of several callers: criteo_gum_id@123
        return lambda event: any(key.partition("@")[0] == name for key in event.get("context", "ids") or ())

    ids = {name: known_by(name) for taker in takers if (name := _id_name(taker))}
    return {
        "e-mail": lambda event: event.email is not None,
        **ids,
        "anonymousId": lambda event: event.anonymous_id is not None,
        "userId": lambda event: event.user_id is not None,
        "ip": lambda event: event.text("context", "ip") is not None,
        "userAgent": lambda event: event.text("context", "userAgent") is not None,
        "consent": lambda event: bool(event.get("context", "consent")),
    }


def _id_name(integration: Integration) -> str | None:
    try:
        return get(integration.vendor).id_name
    except VendorError:
        return None


def _missing(shares: dict[str, float], takers: Sequence[Integration]) -> Iterator[str]:
    asking = [taker.key for taker in takers if taker.consent_rule.basis != "none"]
    if asking and shares["consent"] < HALF:
        yield f"send context.consent: {', '.join(asking)} asks for it, and what never says it is not sent"
    ids = [name for name in shares if name.endswith("_id")]
    if takers and not shares["e-mail"] and not any(shares[name] for name in ids):
        yield f"send an e-mail address in traits.email{''.join(f', or context.ids.{name}' for name in ids)}"
    lacking = [f"context.{name}" for name in ("ip", "userAgent") if shares[name] < HALF]
    if takers and lacking:
        yield f"pass on the visitor's own {' and '.join(lacking)} where a server sends the events"


def lost(context: Context) -> Iterator[Finding]:
    """Requests with a source's write key for addresses that are none of ours: their events are lost."""
    for row in context.status["sources"] if context.status else ():
        for path, count in row["unknown_paths"].items():
            found = f"{counted(count, 'request')} for {path}, which is no address of ours: what they brought is lost"
            remedy = "point that client here as docs/collect.md#clients says, and send again what it sent"
            yield error("events.lost", row["key"], found, remedy, path=path, count=count)


def nobody(context: Context) -> Iterator[Finding]:
    """Ids that name nobody: their events are kept, and linked with no visitor."""
    for row in context.status["sources"] if context.status else ():
        if words := row["placeholders"]:
            said = ", ".join(f"{word} ({count:,})" for word, count in words.items())
            remedy = "send no userId, anonymousId or vendor's id where you know none: docs/collect.md#events"
            yield warning("events.nobody", row["key"], f"ids that name nobody: {said}", remedy, placeholders=words)


def skew(context: Context) -> Iterator[Finding]:
    """How often a visitor's clock had to be repaired."""
    for source, events in context.sample.events.items():
        share = _share(events, lambda event: _sent(event) == "clock")
        if unreadable := _share(events, lambda event: _sent(event) == "unreadable"):
            example = next(event.original_timestamp for event in events if _sent(event) == "unreadable")
            found = f"{unreadable:.1%} came with a time that can't be read, such as {mask_text(example or '')[:40]}"
            remedy = "send 2026-11-22T10:15:00Z or unix milliseconds; till then they count from their receipt"
            yield warning("events.times", source, found, remedy, share=unreadable)
        if share >= SKEWED and len(events) >= ENOUGH:
            remedy = "where one server sends them, set its clock by NTP; a visitor's own is repaired, and that is all"
            yield warning("events.skew", source, f"{share:.0%} came with a clock that was off", remedy, share=share)


def _sent(event: Event) -> str | None:
    """What was wrong with the time that was sent: the `clock` it is by, or that it is `unreadable`."""
    if event.original_timestamp is None:
        return None
    try:
        read_time(event.original_timestamp)
    except ValueError:
        return "unreadable"
    return "clock"


def left_out(context: Context) -> Iterator[Finding]:
    """Fields that many events were sent without, as vendors could not be sent what stood there."""
    if context.ledger is None:
        return
    keys = {integration.key for integration in context.integrations}
    for lane in context.ledger.lanes():
        if lane.integration not in keys:
            continue
        delivered, notes = context.ledger.left_out_of_late(lane.id)
        why = {note.of_all: note.why for note in notes}
        counts = Counter(note.of_all for note in notes)
        for field, count in counts.most_common():
            if count < delivered * OFTEN:
                break
            often = f"{counted(count, 'time')} in the last {counted(delivered, 'delivery')}"
            found = f"{field} was left out {often}: {why[field]}"
            remedy = "correct it where the event is made; a trace shows what stood there"
            yield warning("events.unreadable", lane.integration, found, remedy, field=field, count=count)


def order(context: Context) -> Iterator[Finding]:
    """The gateway's own clock never went back while it wrote the log."""
    steps = context.sample.steps_back
    if steps:
        farthest = span(max(steps) / 1000)
        often = f"{counted(len(steps), 'time')} in the last {counted(context.sample.rows, 'event')}"
        found = f"went back {often}, by up to {farthest}"
        remedy = "let NTP slew the clock (chrony does), and keep two machines from setting it"
        yield warning("clock.steps", "clock", found, remedy, times=len(steps), longest_ms=max(steps))
    elif context.sample.rows:
        yield ok("clock.steps", "clock", f"never went back in the last {counted(context.sample.rows, 'event')}")


def products(context: Context) -> Iterator[Finding]:
    """Product ids are those of the catalogue: others are accepted, and match nothing."""
    if context.catalogue is None:
        return
    try:
        catalogue = Catalogue.read(context.catalogue)
    except CatalogueError as problem:
        yield error("events.products", "catalogue", str(problem), "give ids one a line, or CSV or XML with a field id")
        return
    for source, events in context.sample.events.items():
        for path in sorted({_product_id(one) for one in context.integrations if one.takes_source(source)}):
            ids = {id for event in events for id in _ids(event, path)}
            if ids:
                yield _matched(source, path, ids, catalogue)


def _product_id(integration: Integration) -> str:
    """Where in a product its id stands, for vendors that have a setting for it."""
    path = getattr(integration.settings, "product_id", None)
    return path if isinstance(path, str) else "product_id"


def _ids(event: Event, path: str) -> Iterator[str]:
    for product in (event.properties, *event.products):
        value = Fields(dict(product), "").get(path)
        if isinstance(value, (str, int)) and not isinstance(value, bool):
            yield str(value)


def _matched(source: str, path: str, ids: set[str], catalogue: Catalogue) -> Finding:
    strangers = sorted(id for id in ids if id not in catalogue)
    share = 1 - len(strangers) / len(ids)
    severity: Severity = "ok" if share >= MATCHED_WELL else "warning" if share >= MATCHED_BADLY else "error"
    found = f"{share:.1%} of {len(ids):,} ids are among the {len(catalogue):,} of the catalogue"
    examples = _examples(strangers, catalogue)
    if examples:
        found += f"; not: {', '.join(examples)}"
    return judged(
        severity,
        "events.products",
        f"{source} {path}",
        found,
        "send the ids of the catalogue feed, or name the field that has them in the setting product_id",
        matched=round(share, 4),
        ids=len(ids),
        examples=examples,
    )


def _examples(strangers: Sequence[str], catalogue: Catalogue) -> list[str]:
    """Some ids that don't match, with what they were probably meant to be; of each kind of difference first."""
    shown: dict[str, list[str]] = {}
    for id in strangers:
        like = catalogue.like(id)
        text = mask_text(id)[:40] + (f" ({like.how}: {like.id[:40]})" if like else "")
        shown.setdefault(like.how if like else "", []).append(text)
    rounds = zip_longest(*shown.values())
    return [text for texts in rounds for text in texts if text is not None][:EXAMPLES]


def _share(events: Sequence[Event], has: Callable[[Event], bool]) -> float:
    return sum(map(has, events)) / len(events) if events else 0.0
