"""The products of an event, as most vendors want them: an id, the price of one, and how many."""

import re
from collections.abc import Callable, Iterable, Sequence
from decimal import Decimal
from math import inf
from typing import Any, TypeVar

from msgspec import Raw

from firsthand.event import Event
from firsthand.placeholders import id_text, placeholder
from firsthand.reasons import Dead
from firsthand.vendors.base import Total
from firsthand.vendors.fields import NUMBER, Fields, Number, invalid
from firsthand.vendors.options import Fractions, OrderLines
from firsthand.vendors.texts import digits

T = TypeVar("T")
CENT = 0.005
NOTHING = re.compile(r"0+(\.0+)?")
BELOW_0 = re.compile(r"[-\u2212] ?[0-9][0-9.,]*")
"""Whatever the amount is: how thousands and cents are written matters to none that is left out."""


def in_store(event: Event) -> bool:
    """Whether it happened in a shop, not on a site."""
    return event.properties.get("channel") == "in_store"


class Shopping(Fields):
    """An event's properties. `product_id` says where in a product its id is; `price_fallback` is the price of
    products that have none, or where else to look for it."""

    product_id: str = "product_id"
    price_fallback: float | str | None = None
    fractional_quantity: Fractions = "fold"
    order_lines: OrderLines = "lenient"

    def channel(self) -> str:
        return self.one_of("channel", "web", "pickup", "in_store") or "web"

    def stay(self) -> tuple[str | None, str | None]:
        """The days of arrival and departure."""
        arrival, departure = self.day("checkin_date"), self.day("checkout_date")
        if arrival and departure and departure < arrival:
            raise invalid(self.path + "checkout_date", "on or after checkin_date")
        return arrival, departure

    def id_of(self, product: Fields) -> str:
        found = product.required(self.product_id, like="product_id")
        if placeholder(found) is not None:
            raise invalid(product.path + self.product_id, "the id of a product, not what stands where none is known")
        return found

    def product(self) -> str:
        """The id of the product that the event itself is about."""
        return self.id_of(self)

    def order_id(self) -> str:
        """An order's own: all that have a placeholder for one would be one order to the vendor."""
        found = self.required("order_id")
        if placeholder(id_text(found)) is not None:
            raise invalid(self.path + "order_id", "the id of one order, not what stands where none is known")
        return found

    def how_many(self, product: Fields) -> int | Decimal:
        """Of one product. A `Decimal` where vendors that take whole numbers are sent 1 at price × quantity."""
        found = product.quantity()
        if isinstance(found, Decimal):
            if self.fractional_quantity == "refuse":
                raise invalid(product.path + "quantity", "a whole number: fractional_quantity is refuse")
            product.leave_out("quantity", "a whole number: it is sent as 1, at price × quantity")
        return found

    def line(self, product: Fields) -> dict[str, Any]:
        product_id, price = self.id_of(product), product.amount("price")
        if price is None:
            fallback = self.price_fallback
            price = product.amount(fallback) if isinstance(fallback, str) else fallback
        if price is None:
            raise product.missing("price")
        quantity = self.how_many(product)
        if isinstance(quantity, Decimal):
            price, quantity = Raw(digits(price, quantity).encode()), 1
        return {"id": product_id, "price": price, "quantity": quantity}

    def listed(self, name: str) -> list[Fields]:
        return self.objects(name, lenient=self.order_lines == "lenient")

    def products(self) -> list[Fields]:
        """All that are listed: at least one."""
        if not (found := self.listed("products")):
            raise self.missing("products")
        return found

    def each(self, products: Iterable[Fields], read: Callable[[Fields], T]) -> list[T]:
        """What is read of each of them. Lines that are no products, such as a tip or a voucher, are left out, as long
        as one is left."""
        found, refused = [], []
        for product in products:
            try:
                found.append(read(product))
            except Dead as dead:
                why = None if self.order_lines == "strict" else self._no_product(product, dead)
                if why is None:
                    raise
                refused.append((product, why, dead))
        if refused and not found:
            raise refused[0][2]
        for product, why, _ in refused:
            self.notes.leave_out(product.path.rstrip("."), product.values, why)
        return found

    def _no_product(self, product: Fields, dead: Dead) -> str | None:
        """Why a line is not one of a product, if it is none."""
        id, price, quantity = product.get(self.product_id), product.get("price"), product.get("quantity")
        if id is None or placeholder(id_text(id)) is not None:
            return dead.reason.message
        if _is_below_0(price):
            return "a line with a price below 0, as a voucher has, is no product"
        none = NOTHING.fullmatch(str(quantity)) and not isinstance(quantity, bool)
        return "a line of none, as what was taken out again, is no product" if none else None

    def lines(self) -> list[dict[str, Any]]:
        return self.each(self.products(), self.line)

    def line_or_lines(self) -> list[dict[str, Any]]:
        """The product that the event itself is about, else those listed: beside it they may be the whole basket."""
        listed = self.listed("products") if self.get(self.product_id) is None else []
        return self.each(listed, self.line) if listed else [self.line(self)]

    def amounts(self, name: str, counted: bool = True) -> dict[str, int]:
        """How many there are of each product in a list that must be there, though it may be empty."""
        if self.get(name) is None:
            raise self.missing(name)
        found: dict[str, int] = {}
        for product_id, many in self.each(self.listed(name), lambda product: self._amount(product, counted)):
            found[product_id] = found.get(product_id, 0) + many
        return found

    def _amount(self, product: Fields, counted: bool) -> tuple[str, int]:
        product_id, many = self.id_of(product), self.how_many(product) if counted else 1
        return product_id, many if isinstance(many, int) else 1

    def top(self, most: int) -> list[str]:
        """The ids of the first products, by position where they have one."""
        return self.each(sorted(self.listed("products"), key=_position), self.id_of)[:most]

    def reconcile(self, lines: Sequence[tuple[Number, int | Decimal]]) -> None:
        """Note what an order says that it comes to, where that is not what these prices and quantities add up to, or
        where lines were left out."""
        field = "total" if self.get("total") is not None else "revenue" if self.get("revenue") is not None else None
        less = self.notes.left_out and [note for note in self.notes.left_out if note.field[-1] == "]"]  # whole lines
        if field is None and not less:
            return
        total = self.get(field) if field else None
        if not less and type(total) is float and abs(total - _sum(lines)) < CENT:
            return  # as nearly all: the digits need no look
        said = _number(total) if field else None
        if not less and (said is None or abs(float(said) - _sum(lines)) < CENT):
            return
        exact = sum((Decimal(digits(price, n)) for price, n in lines), Decimal())
        self.notes.total = Total(field and self.path + field, said, format(exact, "f"))


def _is_below_0(price: object) -> bool:
    if isinstance(price, str):
        return BELOW_0.fullmatch(price) is not None
    return isinstance(price, int | float) and price < 0


def _number(value: object) -> str | None:
    text = str(value)
    return text if NUMBER.fullmatch(text.removeprefix("-")) else None


def _sum(lines: Sequence[tuple[Number, int | Decimal]]) -> float:
    found = 0.0
    for price, n in lines:
        found += (price if type(price) is float else _float(price)) * float(n)
    return found


def _float(price: Number) -> float:
    return float(bytes(price)) if isinstance(price, Raw) else float(price)


def _position(product: Fields) -> float:
    found = product.count("position")
    return inf if found is None else found
