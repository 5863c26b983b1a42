"""What an event becomes at Raptor: one tracking, one for each line of a sale, or a click and what follows from it."""

import re
from typing import NamedTuple

from firsthand.reasons import Filtered
from firsthand.vendors.base import Input, Notes
from firsthand.vendors.raptor.facts import Facts
from firsthand.vendors.raptor.settings import Raptor
from firsthand.vendors.raptor.tables import EVENTS, PARAMETERS, UNPLACED

SOURCE = re.compile(r"[a-z0-9_-]{1,40}")
"""What there is before `click` in the name of a click on a link of Raptor's."""


class Tracking(NamedTuple):
    """One call of the tracking service. `module` is where Raptor's recommendations were shown; `by_link` is one that
    stands in the page's address, which anybody can write."""

    event: str
    parameters: dict[str, str]
    module: str | None = None
    by_link: bool = False


def trackings(settings: Raptor, given: Input, landing: dict[str, str], notes: Notes) -> list[Tracking]:
    """What an event becomes, in the order in which it is to arrive. `landing` is the query of the page's URL."""
    event = settings.events.get(given.name) or EVENTS.get(given.name)
    if event is None:
        raise Filtered("no_counterpart", f"Raptor has no event for {given.name!r}")
    facts = Facts(settings, given, notes)
    if event != "buy" and facts.shop.channel() == "in_store":
        raise Filtered("no_counterpart", "of what happens in a shop Raptor takes sales alone", "properties.channel")
    if event in UNPLACED and event not in settings.parameters:
        raise Filtered("not_mapped", f"set parameters.{event}, by Raptor's Control Panel: no usual ones are known")
    module = facts.shop.text("module")
    if event == "buy":
        return sale(facts)
    if event == "itemclick" and module is None:
        raise Filtered("no_counterpart", "Raptor counts clicks on what it recommended: no module", "properties.module")
    found = [tracking(event, facts, module if event == "itemclick" else None)]
    if event == "pageview":
        return [*landing_click(facts, landing), *found]
    return [tracking("itemclick", facts, module), *found] if module and given.name == "Product Added" else found


def sale(facts: Facts) -> list[Tracking]:
    """One for each order line."""
    shop = facts.shop
    lines = shop.each(shop.products(), lambda line: (one := facts.of(line), tracking("buy", one)))
    priced = [(price, shop.how_many(line.product)) for line, _ in lines if (price := line.product.amount("price"))]
    shop.reconcile(priced)
    return [tracking for _, tracking in lines]


def landing_click(facts: Facts, landing: dict[str, str]) -> list[Tracking]:
    """The click on a link in one of Raptor's e-mails. Anybody can make such a link: what is none changes nothing."""
    source, item = landing.get("rchsource", "").lower(), landing.get("rchitemid")
    if not item or not SOURCE.fullmatch(source):
        return []
    of_every = tracking("", facts).parameters
    return [Tracking(f"{source}click", {**of_every, "p2": item}, landing.get("rchmodule"), by_link=True)]


def tracking(event: str, facts: Facts, module: str | None = None) -> Tracking:
    """Facts that are required are so where they usually stand with this event, or with an event of the shop's own
    stand; elsewhere, as in `every`, they are left out where there are none."""
    own = facts.settings.parameters
    usual = PARAMETERS.get(event)
    needed = (own.get(event, {}) if usual is None else usual).values()
    row = PARAMETERS["every"] | (usual or {}) | own.get("every", {}) | own.get(event, {})
    found = {name: facts.fact(fact, fact in needed, id=name == "p7") for name, fact in row.items() if fact}
    return Tracking(event, {name: value for name, value in found.items() if value is not None}, module)
