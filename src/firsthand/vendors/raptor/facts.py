"""What can stand in a parameter: facts of the event, of one of its order lines, and of the visitor."""

from firsthand.personal import has_personal, scrub
from firsthand.reasons import Dead
from firsthand.vendors.base import Input
from firsthand.vendors.fields import Fields, invalid, missing
from firsthand.vendors.products import Shopping
from firsthand.vendors.raptor.settings import Raptor
from firsthand.vendors.texts import as_text, digits

NAMED = {"product_id", "price", "quantity", "subtotal", "order_id", "user_id", "in_stock", "category_path", "basket"}


class Facts:
    """The facts of an event; of `product`, one of its order lines, where one is given.

    One that is not `NAMED` is a path into the product, else `properties`; or it begins with `properties.`, `context.`
    or `traits.`.
    """

    def __init__(self, settings: Raptor, given: Input, product: Fields | None = None) -> None:
        self.settings, self.given = settings, given
        self.shop = Shopping(given.event.properties, "properties.", settings.product_id)
        self.product = product or self.shop

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
            return as_text(Fields(parts, ""), name, whole=id)
        return as_text(self.product, name, whole=id) or as_text(self.shop, name, whole=id)

    def product_id(self) -> str:
        return self.product.required(self.settings.product_id)

    def price(self) -> str | None:
        found = self.product.amount("price")
        return None if found is None else digits(found)

    def quantity(self) -> str:
        return str(self.product.count("quantity", least=1) or 1)

    def subtotal(self) -> str:
        if (price := self.product.amount("price")) is None:
            raise missing(self.product.path + "price")
        return digits(price, times=int(self.quantity()))

    def order_id(self) -> str:
        return self.shop.required("order_id")

    def user_id(self) -> str | None:
        """The shop's id of who is logged in. One with an e-mail address in it is left out, as that goes as ruid."""
        id = self.given.event.user_id or self.given.identity.user_id
        return id if id and id.strip() and scrub(id) == id else None

    def in_stock(self) -> str | None:
        if (found := as_text(self.product, "in_stock")) not in (None, "true", "false"):
            raise invalid(self.product.path + "in_stock", "true or false")
        return found

    def category_path(self) -> str | None:
        """`Id#Name;Id#Name`, the top level first, from text or a list of levels. A level without a name, or with an
        e-mail address for one, has its id in place of it."""
        name = "category" if self.product.get("category_path") is None else "category_path"
        found, path = self.product.get(name), self.product.path + name
        levels = []
        for level in found if isinstance(found, list) else as_words(found, path).split(";"):
            if not (text := as_words(level, path).strip()):
                continue
            id, _, title = text.partition("#")
            id, title = id.strip(), title.strip()
            if not id or has_personal(id) or any(mark in text for mark in ",;") or "#" in title:
                raise invalid(path, "Id#Name;Id#Name, without commas")
            levels.append(f"{id}#{id if has_personal(title) else title or id}")
        return ";".join(levels) or None

    def basket(self) -> str:
        """Each product of the whole basket once; empty when nothing is left."""
        settings, counted = self.settings, self.settings.basket_format == "ids_and_quantities"
        separator = settings.basket_separator or (";" if counted else ",")
        amounts = {} if self.given.name == "Cart Cleared" else self.shop.amounts(settings.basket)
        if any(separator in product or (counted and ":" in product) for product in amounts):
            accepted = f"products without {separator!r} in their ids, or basket_separator another one"
            raise invalid(f"properties.{settings.basket}", accepted)
        return separator.join([f"{product}:{n}" if counted else product for product, n in amounts.items()])


def as_words(value: object, path: str) -> str:
    """A level of a category, or all of them."""
    if value is None or isinstance(value, str):
        return value or ""
    if type(value) is int:
        return str(value)
    raise invalid(path, "text, or a list of texts")
