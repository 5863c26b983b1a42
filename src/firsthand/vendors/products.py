"""The products of an event, as most vendors want them: an id, the price of one, and how many."""

from math import inf
from typing import Any

from firsthand.event import Event
from firsthand.vendors.fields import Fields, invalid, missing


def in_store(event: Event) -> bool:
    """Whether it happened in a shop, not on a site."""
    return event.properties.get("channel") == "in_store"


class Shopping(Fields):
    """An event's properties. `product_id` says where in a product its id is; `price_fallback` is the price of
    products that have none, or where else to look for it."""

    product_id: str
    price_fallback: float | str | None = None

    def channel(self) -> str:
        return self.one_of("channel", "web", "pickup", "in_store") or "web"

    def stay(self) -> tuple[str | None, str | None]:
        """The days of arrival and departure."""
        arrival, departure = self.day("checkin_date"), self.day("checkout_date")
        if arrival and departure and departure < arrival:
            raise invalid(self.path + "checkout_date", "on or after checkin_date")
        return arrival, departure

    def product(self) -> str:
        """The id of the product that the event itself is about."""
        return self.required(self.product_id)

    def line(self, product: Fields) -> dict[str, Any]:
        product_id, price = product.required(self.product_id), product.amount("price")
        if price is None:
            fallback = self.price_fallback
            price = product.amount(fallback) if isinstance(fallback, str) else fallback
        if price is None:
            raise missing(product.path + "price")
        return {"id": product_id, "price": price, "quantity": product.count("quantity", least=1) or 1}

    def lines(self) -> list[dict[str, Any]]:
        if not (products := self.objects("products")):
            raise missing("properties.products")
        return [self.line(product) for product in products]

    def line_or_lines(self) -> list[dict[str, Any]]:
        """The product that the event itself is about, else those listed: beside it they may be the whole basket."""
        listed = self.objects("products") if self.get(self.product_id) is None else []
        return [self.line(product) for product in listed or [self]]

    def amounts(self, name: str) -> dict[str, int]:
        """How many there are of each product in a list that must be there, though it may be empty."""
        if self.get(name) is None:
            raise missing(self.path + name)
        found: dict[str, int] = {}
        for product in self.objects(name):
            product_id = product.required(self.product_id)
            found[product_id] = found.get(product_id, 0) + (product.count("quantity", least=1) or 1)
        return found

    def top(self, most: int) -> list[str]:
        """The ids of the first products, by position where they have one."""
        products = sorted(self.objects("products"), key=_position)[:most]
        return [product.required(self.product_id) for product in products]


def _position(product: Fields) -> float:
    found = product.count("position")
    return inf if found is None else found
