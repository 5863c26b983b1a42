"""Names that shops give to what is known by another name: read where they can only mean that, else named as a hint."""

import re
from typing import Any

TWINS = {"order_id": "orderId", "product_id": "productId", "checkout_id": "checkoutId", "coupon_id": "couponId"}
"""Names that SDKs' own typed setters write. They are read as the others."""
ALIKE = {
    "order_id": ("transaction_id", "order_number", "order_no", "order_reference", "id", "number", "order", "reference",
                 "increment_id", "purchase_id", "order_name", "ref", "receipt_id", "invoice_id"),
    "product_id": ("sku", "id", "item_id", "variant_id", "product_sku", "article_id", "gtin", "ean"),
    "price": ("unit_price", "item_price", "sale_price", "price_incl_tax", "list_price", "amount", "value"),
    "products": ("items", "line_items", "order_lines", "order_items", "contents", "lines", "cart", "basket"),
}  # fmt: skip
"""By the usual name of a property: what it is called elsewhere, the likeliest first. Nothing is guessed from these."""


def near_miss(values: dict[str, Any], path: str, name: str, like: str) -> str:
    """What an object has in place of a required property, to go on a reason: `; the event has …: send it as …`."""
    if found := _found(values, name, like):
        setting = f", or set product_id: {found} in the settings" if like == "product_id" else ""
        return f"; the event has {path}{found}: send it as {name}{setting}"
    products = values.get("products")
    if like == "product_id" and isinstance(products, list) and products and isinstance(products[0], dict):
        first = name if products[0].get(name) not in (None, "") else _found(products[0], name, like)
        return f"; the event has {path}products[0].{first}: send it as {path}{name}" if first else ""
    return ""


def _found(values: dict[str, Any], name: str, like: str) -> str | None:
    """The likeliest name that has a value of a fitting kind."""
    wanted = dict.fromkeys(map(_plain, (name, like, *ALIKE.get(like, ()))))
    kinds = (list,) if like == "products" else (str, int, float)
    there = {
        _plain(key): key
        for key, value in values.items()
        if key != name and isinstance(key, str) and value and isinstance(value, kinds) and value is not True
    }
    return next((there[plain] for plain in wanted if plain in there), None)


def _plain(name: str) -> str:
    """`transactionId`, `transaction_id` and `Transaction ID` are one."""
    return re.sub(r"[\W_]+", "", name.lower())
