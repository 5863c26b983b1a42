"""What can stand in a parameter: facts of the event, of one of its order lines, and of the visitor."""

from decimal import Decimal

from firsthand.personal import has_personal, scrub
from firsthand.reasons import Dead
from firsthand.vendors.base import Input, Notes
from firsthand.vendors.fields import Fields, invalid
from firsthand.vendors.products import Shopping
from firsthand.vendors.raptor.settings import Raptor
from firsthand.vendors.texts import as_text, digits

NAMED = {"product_id", "price", "quantity", "subtotal", "order_id", "user_id", "in_stock", "category_path", "basket"}


class Facts:
    """The facts of an event; of `product`, one of its order lines, where one is given.

    One that is not `NAMED` is a path into the product, else `properties`; or it begins with `properties.`, `context.`
    or `traits.`.
    """

    def __init__(self, settings: Raptor, given: Input, notes: Notes, product: Fields | None = None) -> None:
        self.settings, self.given, self.notes = settings, given, notes
        self.shop = Shopping(
            given.event.properties,
            "properties.",
            notes,
            settings.product_id,
            fractional_quantity=settings.fractional_quantity,
            order_lines=settings.order_lines,
        )
        self.product = product or self.shop

    def of(self, product: Fields) -> "Facts":
        """Those of one of the event's order lines."""
        return Facts(self.settings, self.given, self.notes, product)

    def fact(self, name: str, needed: bool = True, id: bool = False) -> str | None:
        """Not `needed`: None where it is missing, though some events require it or take it to be 1. `id`: it is to tell
        people apart, as what is left of it without an e-mail address may not."""
        if name == "quantity" and not needed and self.product.get(name) is None:
            return None
        if name in NAMED:
            try:
                found: str | None = getattr(self, name)()
                return found
            except Dead as dead:
                if needed or dead.reason.code != "field_missing":
                    raise
                return None
        if name.startswith(("properties.", "context.", "traits.")):
            parts = {part: self.given.event.get(part) for part in ("properties", "context", "traits")}
            return as_text(Fields(parts, "", self.notes), name, whole=id)
        return as_text(self.product, name, whole=id) or as_text(self.shop, name, whole=id)

    def product_id(self) -> str:
        return self.shop.id_of(self.product)

    def price(self) -> str | None:
        if (found := self.product.amount("price")) is None:
            return None
        many = self.shop.how_many(self.product) if self.product is not self.shop else 1
        return digits(found, times=many if isinstance(many, Decimal) else 1)

    def quantity(self) -> str:
        many = self.shop.how_many(self.product)
        return "1" if isinstance(many, Decimal) else str(many)

    def subtotal(self) -> str:
        if (price := self.product.amount("price")) is None:
            raise self.product.missing("price")
        return digits(price, times=self.shop.how_many(self.product))

    def order_id(self) -> str:
        return self.shop.order_id()

    def user_id(self) -> str | None:
        """The shop's id of who is logged in. One with an e-mail address in it is left out, as that goes as ruid."""
        id = self.given.event.user_id or self.given.identity.user_id
        return id if id and id.strip() and scrub(id) == id else None

    def in_stock(self) -> str | None:
        if (found := as_text(self.product, "in_stock")) not in (None, "true", "false"):
            self.product.leave_out("in_stock", "true or false")
            return None
        return found

    def category_path(self) -> str | None:
        """`Id#Name;Id#Name`, the top level first, from text or a list of levels. A level without a name, or with an
        e-mail address for one, has its id in place of it."""
        name = "category" if self.product.get("category_path") is None else "category_path"
        levels = levels_of(self.product.get(name))
        if levels is None:
            self.product.leave_out(name, "Id#Name;Id#Name without commas, or a list of such levels")
        return ";".join(levels or ()) or None

    def basket(self) -> str:
        """Each product of the whole basket once; empty when nothing is left."""
        settings, counted = self.settings, self.settings.basket_format == "ids_and_quantities"
        separator = settings.basket_separator or (";" if counted else ",")
        amounts = {} if self.given.name == "Cart Cleared" else self.shop.amounts(settings.basket, counted)
        if any(separator in product or (counted and ":" in product) for product in amounts):
            accepted = f"products without {separator!r} in their ids, or basket_separator another one"
            raise invalid(f"properties.{settings.basket}", accepted)
        return separator.join([f"{product}:{n}" if counted else product for product, n in amounts.items()])


def levels_of(category: object) -> list[str] | None:
    """The levels of a category as `Id#Name`; None where it is no such thing."""
    if type(category) in (str, int):
        category = str(category).split(";")
    levels = []
    for level in category if isinstance(category, list) else [category]:
        if level is not None and type(level) not in (str, int):
            return None
        text = "" if level is None else str(level).strip()
        id, _, title = (part.strip() for part in text.partition("#"))
        if not text:
            continue
        if not id or has_personal(id) or any(mark in text for mark in ",;") or "#" in title:
            return None
        levels.append(f"{id}#{id if has_personal(title) else title or id}")
    return levels
