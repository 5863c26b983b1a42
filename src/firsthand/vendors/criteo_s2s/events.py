"""Which Criteo event a canonical event becomes, and what it carries.

The ids of products must be those of the catalogue feed: others are accepted, and match nothing.
"""

from collections.abc import Callable
from datetime import UTC, datetime
from math import inf
from typing import Any

from firsthand.event import Event
from firsthand.reasons import Filtered
from firsthand.vendors.criteo_s2s.fields import Fields
from firsthand.vendors.criteo_s2s.settings import CriteoS2S

NO_COUNTERPART = (
    # A change to an order must never go out as another sale.
    *("Order Updated", "Order Refunded", "Order Cancelled", "Product Removed", "Cart Cleared", "Cart Shared"),
    *("Product Clicked", "Product Shared", "Product Reviewed", "Checkout Step Viewed", "Checkout Step Completed"),
    *("Product Added to Wishlist", "Product Removed from Wishlist", "Wishlist Product Added to Cart"),
    *("Promotion Viewed", "Promotion Clicked", "Coupon Entered", "Coupon Applied", "Coupon Denied", "Coupon Removed"),
    *("Application Installed", "Application Opened", "Application Updated", "Screen Viewed"),
    *("Signed Up", "Signed Out", "Lead Submitted", "Identify", "Group", "Alias"),
)
EVENTS: dict[str, str | None] = {
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
    **dict.fromkeys(NO_COUNTERPART),
}


def known(**fields: Any) -> dict[str, Any]:
    """Fields without those that are None: Criteo wants them left out."""
    return {name: value for name, value in fields.items() if value is not None}


class Source(Fields):
    """An event's properties, as the fields of Criteo's events are made from them."""

    __slots__ = ("event", "settings")

    def __init__(self, settings: CriteoS2S, event: Event) -> None:
        super().__init__(event.properties, "properties.")
        self.settings, self.event = settings, event

    def products(self) -> list[Fields]:
        return self.objects("products")

    def channel(self) -> str:
        channel = self.text("channel") or "web"
        if channel not in ("web", "pickup", "in_store"):
            raise self.invalid("channel", "web, pickup or in_store")
        return channel

    def product(self) -> str:
        """The id of the product that the event itself is about."""
        return self.required(self.settings.product_id)

    def top_products(self) -> list[str]:
        """The first three product ids, by position where products have one."""
        ranked = sorted(self.products(), key=position)
        return [product.required(self.settings.product_id) for product in ranked[:3]]

    def item(self, product: Fields) -> dict[str, Any]:
        """A product with its unit price. Criteo adds up price × quantity; an order's total has no field."""
        product_id, price = product.required(self.settings.product_id), product.amount("price")
        fallback, quantity = self.settings.price_fallback, product.count("quantity", least=1)
        if price is None:
            price = product.amount(fallback) if isinstance(fallback, str) else fallback
        if price is None:
            raise product.missing("price")
        return {"id": product_id, "price": price, "quantity": quantity or 1}

    def items(self) -> list[dict[str, Any]]:
        if not (products := self.products()):
            raise self.missing("products")
        return [self.item(product) for product in products]

    def basket(self) -> list[dict[str, Any]]:
        if self.values.get("products") == []:
            raise Filtered("no_counterpart", "Criteo has no event for an empty basket", "properties.products")
        return self.items()

    def item_or_items(self) -> list[dict[str, Any]]:
        """The products listed, else the one that the event itself is about."""
        return [self.item(product) for product in self.products() or [self]]

    def attribution(self) -> int | None:
        """Whether the shop itself attributes the sale to Criteo."""
        value: Any = self.settings.dd
        if isinstance(value, str) and "." in value:
            value = self.event.get(*value.split("."))
        if value in (None, "", "omit"):
            return None
        if isinstance(value, bool) or value not in (0, 1, "0", "1"):
            raise Fields({}, "").invalid(str(self.settings.dd), "0 or 1")
        return int(value)

    def checkout_date(self) -> str | None:
        arrival, departure = self.day("checkin_date"), self.day("checkout_date")
        if arrival and departure and departure < arrival:
            raise self.invalid("checkout_date", "on or after checkin_date")
        return departure

    def store(self) -> str | None:
        return self.text("store_id")

    def stores(self) -> list[str] | None:
        entries, store = self.entries("store_ids"), self.store()
        return [entries.required(name) for name in entries.values] or (store and [store]) or None

    def currency_code(self) -> str | None:
        return self.currency("currency")


def position(product: Fields) -> float:
    found = product.count("position")
    return inf if found is None else found


FIELDS: dict[str, dict[str, Callable[[Source], Any]]] = {
    "viewHome": {},
    "viewPage": {},
    "login": {},
    "viewList": {
        "item": Source.top_products,
        "category": lambda source: source.scrubbed("category"),
        "keywords": lambda source: source.scrubbed("query"),
    },
    "viewItem": {"item": Source.product},
    "addToCart": {"currency": Source.currency_code, "item": Source.item_or_items},
    "viewBasket": {"currency": Source.currency_code, "item": Source.basket},
    "beginCheckout": {"currency": Source.currency_code, "item": Source.items},
    "addPaymentInfo": {},
    "trackTransaction": {
        "id": lambda source: source.required("order_id"),
        "dd": Source.attribution,
        "delivery": lambda source: "store" if source.channel() == "pickup" else None,
        "user_segment": lambda source: 19 if source.channel() == "in_store" else None,
        "store_id": lambda source: None if source.channel() == "web" else source.store(),
        "currency": Source.currency_code,
        "item": Source.items,
    },
    "viewSearch": {
        "checkin_date": lambda source: source.day("checkin_date"),
        "checkout_date": Source.checkout_date,
        "nbra": lambda source: source.count("adults"),
        "nbrc": lambda source: source.count("children"),
        "nbri": lambda source: source.count("infants"),
        "nbrr": lambda source: source.count("rooms"),
    },
    "viewStore": {"store_id": Source.store},
    "checkAvailability": {"store_id": Source.stores, "item": Source.product},
    # Criteo's guide shows the store as text and as a list; a reservation is in one store.
    "reserveInStore": {"store_id": Source.store, "currency": Source.currency_code, "item": Source.item_or_items},
}


def criteo_event(settings: CriteoS2S, event: Event, name: str) -> dict[str, Any]:
    """The entry in `events` for an event of this canonical name, with those fields that are known."""
    source, kind = Source(settings, event), EVENTS.get(name)
    if kind is None:
        raise Filtered("no_counterpart", f"Criteo has no event for {name!r}")
    if kind == "viewList" and not source.products():
        kind = "viewPage"  # a list that names no products is a visit like any other
    if kind == "trackTransaction" and not event.timestamp and source.channel() == "in_store":
        raise Fields({}, "").missing("timestamp")
    payload: dict[str, Any] = known(event=kind, timestamp=utc(event.timestamp) if event.timestamp else None)
    for field, read in FIELDS[kind].items():
        if (value := read(source)) is not None:
            payload[field] = value
    return payload


def utc(timestamp: str) -> str:
    try:
        when = datetime.fromisoformat(timestamp)
        return (when.astimezone(UTC) if when.tzinfo else when).isoformat()[:19] + "Z"
    except (ValueError, OverflowError):
        raise Fields({}, "").invalid("timestamp", "an ISO 8601 time") from None
