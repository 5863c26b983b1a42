"""Which of Raptor's events a canonical event becomes, and which facts stand in which of its parameters.

The positions differ from customer to customer (Control Panel → Integrations → Implementing tracking), so they are
data: `PARAMETERS`, which the setting of that name overrides. For the events in `UNPLACED` none are published.
"""

from typing import NamedTuple

from firsthand.reasons import Filtered
from firsthand.vendors.base import Input
from firsthand.vendors.fields import missing
from firsthand.vendors.names import KNOWN_EVENTS
from firsthand.vendors.raptor.facts import Facts
from firsthand.vendors.raptor.settings import Raptor

EVENTS: dict[str, str | None] = {
    **dict.fromkeys(KNOWN_EVENTS),  # None: to open the basket, for one, is no change of it
    "Home Page Viewed": "pageview",
    "Page Viewed": "pageview",
    "Product Viewed": "visit",
    "Product Added": "basket",
    "Product Removed": "basket",
    "Cart Cleared": "basket",
    "Order Completed": "buy",
    "Product Clicked": "itemclick",
    "Product Added to Wishlist": "favorite",
    "Content Viewed": "contentvisit",
    "Products Searched": "search",
    "Search Result Clicked": "searchclick",
    "Search Result Viewed": "searchresult",
}
PARAMETERS = {
    "every": {"p7": "user_id"},
    "visit": {"p2": "product_id", "p3": "name", "p4": "category_path", "p8": "brand", "p12": "price"}
    | {"p15": "in_stock", "p18": "master_id"},
    "basket": {"p10": "basket"},
    "buy": {"p2": "product_id", "p5": "subtotal", "p12": "price", "p13": "quantity", "p21": "order_id"},
    "itemclick": {"p2": "product_id"},
}
UNPLACED = ("favorite", "contentvisit", "search", "searchclick", "searchresult")


class Tracking(NamedTuple):
    """One call of the tracking service. `module` is where Raptor's recommendations were shown."""

    event: str
    parameters: dict[str, str]
    module: str | None = None


def trackings(settings: Raptor, given: Input, landing: dict[str, str]) -> list[Tracking]:
    """What an event becomes, in the order in which it is to arrive. `landing` is the query of the page's URL."""
    event = settings.events.get(given.name) or EVENTS.get(given.name)
    if event is None:
        raise Filtered("no_counterpart", f"Raptor has no event for {given.name!r}")
    if event in UNPLACED and event not in settings.parameters:
        raise Filtered("not_mapped", f"set parameters.{event}, by Raptor's Control Panel: no usual ones are known")
    facts = Facts(settings, given)
    module = facts.shop.text("module")
    if event == "buy":
        if not (lines := facts.shop.objects("products")):
            raise missing("properties.products")
        return [tracking(event, Facts(settings, given, line)) for line in lines]
    if event == "itemclick" and module is None:
        raise Filtered("no_counterpart", "Raptor counts clicks on what it recommended: no module", "properties.module")
    found = [tracking(event, facts, module if event == "itemclick" else None)]
    source = landing.get("rchsource", "")
    if event == "pageview" and source.isascii() and source.isalnum():  # from a recommendation in an e-mail
        click = tracking(source.lower() + "click", facts, landing.get("rchmodule"))
        return [click._replace(parameters={"p2": landing.get("rchitemid", ""), **click.parameters}), *found]
    return [tracking("itemclick", facts, module), *found] if module and given.name == "Product Added" else found


def tracking(event: str, facts: Facts, module: str | None = None) -> Tracking:
    row: dict[str, str | None] = {}
    for table in (PARAMETERS, facts.settings.parameters):
        row |= {**table.get("every", {}), **table.get(event, {})}
    found = {name: facts.fact(fact) for name, fact in row.items() if fact}
    return Tracking(event, {name: value for name, value in found.items() if value is not None}, module)
