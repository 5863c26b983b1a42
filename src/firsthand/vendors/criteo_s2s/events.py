"""Which Criteo event a canonical event becomes, and what it carries.

The ids of products must be those of the catalogue feed: others are accepted, and match nothing.
"""

from typing import Any

from firsthand.event import Event
from firsthand.reasons import Filtered
from firsthand.vendors.base import Notes
from firsthand.vendors.criteo_s2s.settings import CriteoS2S
from firsthand.vendors.fields import known, missing, utc
from firsthand.vendors.names import KNOWN_EVENTS
from firsthand.vendors.options import flag
from firsthand.vendors.products import Shopping

EVENTS: dict[str, str | None] = {
    **dict.fromkeys(KNOWN_EVENTS),  # None: a change to an order, for one, must never go out as another sale
    "Home Page Viewed": "viewHome",
    "Page Viewed": "viewPage",
    "Signed In": "login",
    "Product List Viewed": "viewList",
    "Product List Filtered": "viewList",
    "Products Searched": "viewList",
    "Product Viewed": "viewItem",
    "Product Added": "addToCart",
    "Cart Viewed": "viewBasket",
    "Checkout Started": "beginCheckout",
    "Payment Info Entered": "addPaymentInfo",
    "Order Completed": "trackTransaction",
    "Hotel Searched": "viewSearch",
    "Travel Searched": "viewSearch",
    "Store Viewed": "viewStore",
    "Store Availability Checked": "checkAvailability",
    "Product Reserved": "reserveInStore",
}


def criteo_event(settings: CriteoS2S, event: Event, name: str, notes: Notes) -> dict[str, Any]:
    """The entry in `events` for an event of this canonical name."""
    kind = EVENTS.get(name)
    if kind is None:
        raise Filtered("no_counterpart", f"Criteo has no event for {name!r}")
    shop = Shopping(
        event.properties,
        "properties.",
        notes,
        settings.product_id,
        settings.price_fallback,
        settings.fractional_quantity,
        settings.order_lines,
    )
    if kind == "viewList" and not shop.entries("products"):
        kind = "viewPage"  # a list that names no products is a visit like any other
    timestamp = utc(event.timestamp) if event.timestamp else None
    return known({"event": kind, "timestamp": timestamp, **fields(kind, settings, event, shop)})


def fields(kind: str, settings: CriteoS2S, event: Event, shop: Shopping) -> dict[str, Any]:
    """What each of Criteo's events carries; those not named here carry nothing of their own.

    Criteo adds up price × quantity: prices are for one, and an order's total has no field.
    """
    match kind:
        case "viewList":
            return {"item": shop.top(3), "category": shop.scrubbed("category"), "keywords": shop.scrubbed("query")}
        case "viewItem":
            return {"item": shop.product()}
        case "addToCart":
            return {"currency": shop.currency(), "item": shop.line_or_lines()}
        case "viewBasket" | "beginCheckout":
            if kind == "viewBasket" and shop.values.get("products") in ([], {}):
                raise Filtered("no_counterpart", "Criteo has no event for an empty basket", "properties.products")
            return {"currency": shop.currency(), "item": shop.lines()}
        case "trackTransaction":
            channel = shop.channel()
            if channel == "in_store" and not event.timestamp:
                raise missing("timestamp")
            lines = shop.lines()
            shop.reconcile([(line["price"], line["quantity"]) for line in lines])
            return {
                "id": shop.order_id(),
                "dd": flag(settings.dd, event, shop.notes),
                "delivery": "store" if channel == "pickup" else None,
                "user_segment": 19 if channel == "in_store" else None,
                "store_id": None if channel == "web" else shop.text("store_id"),
                "currency": shop.currency(),
                "item": lines,
            }
        case "viewSearch":
            arrival, departure = shop.stay()
            guests = {"nbra": "adults", "nbrc": "children", "nbri": "infants", "nbrr": "rooms"}
            counts = {field: shop.count(name) for field, name in guests.items()}
            return {"checkin_date": arrival, "checkout_date": departure, **counts}
        case "viewStore":
            return {"store_id": shop.text("store_id")}
        case "checkAvailability":
            store = shop.text("store_id")
            return {"store_id": shop.texts("store_ids") or (store and [store]), "item": shop.product()}
        case "reserveInStore":  # Criteo's guide shows the store as text and as a list; a reservation is in one store
            return {"store_id": shop.text("store_id"), "currency": shop.currency(), "item": shop.line_or_lines()}
    return {}
