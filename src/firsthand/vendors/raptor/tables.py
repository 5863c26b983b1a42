"""Which of Raptor's events a canonical event becomes, and which facts usually stand in which of its parameters.

The positions differ from customer to customer (Control Panel → Integrations → Implementing tracking), so they are
data: `PARAMETERS`, which the setting of that name overrides. For the events in `UNPLACED` none are published.
"""

from firsthand.vendors.names import KNOWN_EVENTS

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
    "pageview": {},
    "visit": {"p2": "product_id", "p3": "name", "p4": "category_path", "p8": "brand", "p12": "price"}
    | {"p15": "in_stock", "p18": "master_id"},
    "basket": {"p10": "basket"},
    "buy": {"p2": "product_id", "p5": "subtotal", "p12": "price", "p13": "quantity", "p21": "order_id"},
    "itemclick": {"p2": "product_id"},
}
UNPLACED = ("favorite", "contentvisit", "search", "searchclick", "searchresult")
