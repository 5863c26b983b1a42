"""From an event to the addresses that carry it: all is in the query, and all of that is URL-encoded."""

from base64 import b64encode
from collections.abc import Sequence
from urllib.parse import quote

from firsthand.personal import has_phone
from firsthand.placeholders import clean_id
from firsthand.reasons import Dead, Filtered
from firsthand.vendors.base import Built, Input, Notes, Request, Setup
from firsthand.vendors.fields import Fields, known
from firsthand.vendors.hashing import bare, is_address
from firsthand.vendors.ids import guid, vendor_id
from firsthand.vendors.products import Shopping
from firsthand.vendors.raptor.events import Tracking, trackings
from firsthand.vendors.raptor.settings import Raptor
from firsthand.vendors.texts import query_of

VERSION = "1"
LONGEST = 8_000
"""Bytes of an address. Servers take some 8 kB of it, and may cut off or refuse what is longer."""
Values = dict[str, str | None]
CAMPAIGN = ("utm_source", "utm_medium", "utm_campaign", "utm_term", "utm_content")
SPARE = ("url", *reversed(CAMPAIGN))
"""What goes first where an address is too long: where a link led to may be as long as it likes, and is no fact of a
sale."""


def endpoints(settings: Raptor, emulator_base: str | None) -> dict[str, str]:
    """`tracking`, to which `/{customer_id}.rsa` or `.stream` is added."""
    return {"tracking": f"{emulator_base.rstrip('/')}/raptor" if emulator_base else "https://t.raptorsmartadvisor.com"}


def build(setup: Setup[Raptor], inputs: Sequence[Input]) -> Built:
    """One request per order line of a sale, one of most other events."""
    (given,) = inputs
    settings, event = setup.settings, given.event
    if given.consent.decision != "allow":
        raise Filtered("consent_refused", "Raptor has no anonymous events: all name the visitor", "context.consent")
    notes = Notes()
    shop = Shopping(event.properties, "properties.", notes)
    url = Fields(event.context, "context.", notes).url("page.url", given.origin) or shop.url("url", given.origin)
    landing = query_of(url)
    found = trackings(settings, given, landing, notes)
    address = f"{setup.endpoints['tracking'].rstrip('/')}/{settings.customer_id}"
    if shop.channel() == "in_store":
        ids = identifiers(settings, given, encoded=settings.stream_ruid == "base64")
        return Built(requests(f"{address}.stream", found, ids, {"source": "webhook"}, notes), (notes,))
    ids = {"coid": browser_id(given, "coid"), **identifiers(settings, given), "sid": browser_id(given, "sid")}
    page = {"v": f"firsthand-{VERSION}", "url": url, **{name: landing.get(name) for name in CAMPAIGN}}
    return Built(requests(f"{address}.rsa", found, ids, page, notes), (notes,))


def requests(address: str, found: list[Tracking], ids: Values, about: Values, notes: Notes) -> list[Request]:
    """One for each tracking, all of which must be short enough."""
    made = []
    for tracking in found:
        query = query_for(tracking, ids, about)
        url = written(address, query)
        if len(url) > LONGEST and tracking.by_link:
            continue
        for name in SPARE:
            if len(url) > LONGEST and name in query:
                del query[name]
                field = "context.page.url" if name == "url" else f"context.page.url?{name}"
                notes.leave_out(field, about[name], f"must be shorter: an address has at most {LONGEST:,} bytes")
                url = written(address, query)
        if len(url) > LONGEST:
            most = max(query, key=lambda name: len(query[name]))
            text = f"its address is {len(url):,} bytes long, of at most {LONGEST:,}: most is {most}"
            raise Dead("field_invalid", text)
        # An order line that comes twice counts twice: Raptor is told nothing to know it by. Revenue is not guessed at.
        made.append(Request("GET", url, max_uncertain=1 if tracking.event == "buy" else 3))
    return made


def written(address: str, query: dict[str, str]) -> str:
    return f"{address}?{'&'.join([f'{name}={value}' for name, value in query.items()])}"


def query_for(tracking: Tracking, ids: Values, about: Values) -> dict[str, str]:
    """URL-encoded, in the order in which it is sent."""
    parameters = sorted(tracking.parameters.items(), key=lambda item: (item[0][0] != "p", int(item[0].lstrip("poc"))))
    query = known({"p1": tracking.event, **dict(parameters), **ids, "am": tracking.module, **about})
    return {name: quote(value, safe="") for name, value in query.items()}


def browser_id(given: Input, name: str) -> str:
    """`coid` tells the browser, `sid` the visit. Neither can be made up here: Raptor would see a stranger."""
    if found := guid(given, f"raptor_{name}"):
        return found
    where = "pages have both by cookies, once the visitor agreed to them; back ends pass on context.ids"
    raise Dead("identity_missing", f"Raptor needs raptor_coid and raptor_sid: {where}", f"context.ids.raptor_{name}")


def identifiers(settings: Raptor, given: Input, encoded: bool = True) -> Values:
    """By what Raptor knows people: ruid and reaid together, or xuid alone."""
    user = user_id(settings, given)
    ruid = b64encode(user.encode()).decode() if user and encoded else user
    return {name: ruid if name == "ruid" else vendor_id(given, f"raptor_{name}") for name in settings.identifiers}


def user_id(settings: Raptor, given: Input) -> str | None:
    """What an e-mail can be started with. What the event says wins over what is remembered of the visitor."""
    event, identity, source = given.event, given.identity, settings.ruid_source
    if source != "email":  # raptor_ruid is an address, from before another source was set
        said = event.text(*source.split(".")) or (identity.user_id if source == "user_id" else None)
        return clean_id(said) if said and not has_phone(said) else None
    if settings.ruid_storage == "cookie":  # what the cookie held comes with the event; nothing is remembered here
        found = [event.email, event.text("context", "ids", "raptor_ruid")]
    else:
        found = [event.email, vendor_id(given, "raptor_ruid", is_address=True), identity.email]
    return next((address for text in found if text and is_address(address := bare(text))), None)
