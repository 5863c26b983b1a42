"""A small shop and an hour of its visitors, as the calls that its pages and its tills would make.

Pure: the same number and the same end of the hour give the same hour.
"""

import random
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from firsthand.event import format_time

HOUR = 3600.0

# The visitor's answer, as a shop's own banner, a browser, or a banner of IAB's framework tells it.
AGREES = {"categories": {"analytics": True, "marketing": True}}
REFUSES = {"categories": {"analytics": True, "marketing": False}}
BROWSER_REFUSES = {**AGREES, "gpc": True}
NOTHING_GRANTED = "CO_7cUEO_7cUEAGABCENBICgAAAAAAAAAAYgAAAAAAAA.YAAAAAAAAAAA"
REFUSES_BY_TCF = {"tcf": {"gdprApplies": True, "tcString": NOTHING_GRANTED, "policyVersion": 4}}

Call = dict[str, Any]
"""The body of a call, as Segment's SDKs send it."""


class Product(NamedTuple):
    id: str
    name: str
    category: str
    price: float


PRODUCTS = (
    Product("tent-2p", "Tent for two", "camping", 189.00),
    Product("tent-4p", "Family tent", "camping", 349.50),
    Product("stove-gas", "Gas stove", "camping", 44.90),
    Product("lamp-led", "LED lamp", "camping", 24.90),
    Product("mat-air", "Sleeping mat", "camping", 59.00),
    Product("bag-down", "Down sleeping bag", "camping", 219.00),
    Product("pack-25", "Day pack 25 l", "packs", 79.90),
    Product("pack-65", "Trekking pack 65 l", "packs", 199.00),
    Product("bottle-1l", "Steel bottle", "packs", 27.50),
    Product("jacket-rain-m", "Rain jacket", "clothing", 129.00),
    Product("jacket-down-m", "Down jacket", "clothing", 239.00),
    Product("trousers-m", "Walking trousers", "clothing", 89.90),
    Product("socks-wool", "Wool socks", "clothing", 17.90),
    Product("boots-42", "Hiking boots", "shoes", 179.00),
    Product("shoes-run-42", "Trail running shoes", "shoes", 139.90),
    Product("sandals-42", "Sandals", "shoes", 69.00),
)
SEARCHES = ("rain jacket", "tent", "boots", "sleeping bag", "down", "socks", "pack")
STORES = ("berlin-mitte", "hamburg-hafen", "munich-west")
WEBKIT = "AppleWebKit/537.36 (KHTML, like Gecko)"
AGENTS = (
    f"Mozilla/5.0 (Windows NT 10.0; Win64; x64) {WEBKIT} Chrome/142.0.0.0 Safari/537.36",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) AppleWebKit/605.1.15 Version/26.1 Mobile/15E148 Safari/604",
    f"Mozilla/5.0 (Linux; Android 16; Pixel 10) {WEBKIT} Chrome/142.0.0.0 Mobile Safari/537.36",
    "Mozilla/5.0 (iPad; CPU OS 18_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/26.1 Safari/604.1",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10.15; rv:144.0) Gecko/20100101 Firefox/144.0",
)


@dataclass
class Visitor:
    """Someone on the site, or at a till. `moment` is how far into their visit they are, in seconds."""

    anonymous_id: str
    context: dict[str, Any]
    moment: float = 0.0
    user_id: str | None = None
    email: str | None = None
    cart: list[tuple[Product, int]] = field(default_factory=list)


class Sent(NamedTuple):
    """One call, when in the hour it is made (in seconds), and by which of the shop's two sources."""

    moment: float
    source: Literal["web", "tills"]
    call: Call


class Hour(NamedTuple):
    """`sent` is in order of time; the others are message ids: of orders with nothing wrong, and of two to look at."""

    sent: list[Sent]
    sales: list[str]
    refused: str
    broken: str


class Shop:
    """Makes the calls. `end_ms` is when the hour ends, in milliseconds since 1970; `number` chooses which hour."""

    def __init__(self, end_ms: int, number: int) -> None:
        self._start_ms = end_ms - round(HOUR * 1000)
        self._random = random.Random(number)  # noqa: S311 (nothing is guarded by it)
        self._orders = 48_200
        self.sales: list[str] = []

    def visits(self, events: int) -> list[Sent]:
        """About so many calls, by visitors and buyers in stores."""
        sent: list[Sent] = []
        while len(sent) < events:
            made = [self._at_the_till()] if self._random.random() < 0.06 else list(self._walk(self._visitor()))
            begin = self._random.uniform(0, HOUR - 1 - made[-1].moment)
            sent += [self._placed(one, begin + one.moment) for one in made]
        return sent

    def _placed(self, sent: Sent, moment: float) -> Sent:
        """A call at its place in the hour."""
        sent.call["timestamp"] = format_time(self._start_ms + round(moment * 1000))
        return sent._replace(moment=moment)

    # -- visits ------------------------------------------------------------------------------------------------

    def _walk(self, visitor: Visitor) -> Iterator[Sent]:
        """A way through the shop: in by the home page, a search or an advertisement, out anywhere."""
        chance = self._random.random
        if chance() < 0.6:
            yield self._call(visitor, "page", "/", "Home")
        if chance() < 0.15:
            yield from self._sign_in(visitor)
        for _ in range(self._random.choice((0, 1, 1, 2))):
            yield self._list(visitor)
        for _ in range(self._random.choice((1, 1, 2, 3, 4))):
            product = self._random.choice(PRODUCTS)
            page = f"/p/{product.id}"
            yield self._call(visitor, "track", page, "Product Viewed", **_facts(product), currency="EUR")
            if chance() < 0.28:
                quantity = self._random.choice((1, 1, 1, 2))
                visitor.cart.append((product, quantity))
                facts = {**_facts(product), "quantity": quantity, **_basket(visitor)}
                yield self._call(visitor, "track", page, "Product Added", **facts)
        if not visitor.cart:
            return
        yield self._call(visitor, "track", "/cart", "Cart Viewed", **_basket(visitor))
        if chance() < 0.15:
            product, _ = visitor.cart.pop()
            yield self._call(visitor, "track", "/cart", "Product Removed", **_facts(product), **_basket(visitor))
        if visitor.cart and chance() < 0.55:
            yield from self._check_out(visitor)

    def _list(self, visitor: Visitor) -> Sent:
        about: dict[str, Any]
        if self._random.random() < 0.35:
            query = self._random.choice(SEARCHES)
            found = [p for p in PRODUCTS if query.split()[-1] in p.name.lower()]
            name, page, about = "Products Searched", f"/search?q={query.replace(' ', '+')}", {"query": query}
        else:
            category = self._random.choice(PRODUCTS).category
            found = [p for p in PRODUCTS if p.category == category]
            name, page, about = "Product List Viewed", f"/c/{category}", {"category": category}
        products = [{**_facts(product), "position": place} for place, product in enumerate(found, 1)]
        return self._call(visitor, "track", page, name, **about, products=products)

    def _sign_in(self, visitor: Visitor) -> Iterator[Sent]:
        self._known(visitor)
        yield self._call(visitor, "identify", "/account")
        yield self._call(visitor, "track", "/account", "Signed In")

    def _check_out(self, visitor: Visitor) -> Iterator[Sent]:
        yield self._call(visitor, "track", "/checkout", "Checkout Started", **_basket(visitor))
        if self._random.random() < 0.2:
            return
        if visitor.email is None:
            visitor.email = f"guest{self._random.randrange(10_000)}@example.com"
        yield self._call(visitor, "track", "/checkout/pay", "Payment Info Entered")
        if self._random.random() < 0.1:
            return
        sale = self._sale(visitor, "/checkout/thanks")
        if visitor.context["consent"] == AGREES:
            self.sales.append(sale.call["messageId"])
        yield sale

    def _at_the_till(self) -> Sent:
        """A sale in a store to someone with a loyalty card, which is where the consent comes from."""
        visitor = Visitor(
            f"card-{self._random.randrange(1000, 9999)}", {"consent": {"categories": {"marketing": True}}}
        )
        self._known(visitor)
        visitor.cart = [(product, 1) for product in self._random.sample(PRODUCTS, self._random.choice((1, 1, 2)))]
        sale = self._sale(visitor, None, channel="in_store", store_id=self._random.choice(STORES))
        return sale._replace(source="tills")

    def _sale(self, visitor: Visitor, page: str | None, **more: Any) -> Sent:
        """An order of what is in the visitor's cart."""
        self._orders += 1
        order = {"order_id": f"W-{self._orders}", "total": _total(visitor), **_basket(visitor), **more}
        return self._call(visitor, "track", page, "Order Completed", **order)

    # -- visitors and calls ------------------------------------------------------------------------------------

    def _visitor(self, consent: dict[str, Any] | None = None) -> Visitor:
        context: dict[str, Any] = {
            "ip": f"203.0.113.{self._random.randrange(1, 255)}",
            "userAgent": self._random.choice(AGENTS),
            "locale": self._random.choice(("de-DE", "de-DE", "de-AT", "en-GB")),
            "consent": consent or self._random.choices((AGREES, REFUSES, BROWSER_REFUSES), (86, 11, 3))[0],
        }
        if self._random.random() < 0.7:
            context["ids"] = {"criteo_gum_id": f"k-{self._random.getrandbits(80):020x}"}
        return Visitor(self._id(), context)

    def _known(self, visitor: Visitor) -> None:
        number = self._random.randrange(1000, 9999)
        visitor.user_id, visitor.email = f"customer-{number}", f"customer{number}@example.com"

    def _call(self, visitor: Visitor, type: str, page: str | None, name: str = "", /, **facts: Any) -> Sent:
        """A call. `name` is the event's, or the page's; `facts` become its properties."""
        context = dict(visitor.context)
        if page is not None:
            context["page"] = {"url": f"https://shop.example{page}", "path": page.partition("?")[0]}
        call: Call = {"type": type, "messageId": self._id(), "anonymousId": visitor.anonymous_id}
        call |= {"userId": visitor.user_id} if visitor.user_id else {}
        call |= {"event" if type == "track" else "name": name} if name else {}
        if type == "identify":
            call["traits"] = {"email": visitor.email}
        else:
            call["properties"] = facts
            context |= {"traits": {"email": visitor.email}} if visitor.email else {}
        sent = Sent(visitor.moment, "web", call | {"context": context})
        visitor.moment += self._random.uniform(4, 45)
        return sent

    def _id(self) -> str:
        return str(uuid.UUID(int=self._random.getrandbits(128), version=4))

    # -- what goes wrong in every shop ---------------------------------------------------------------------------

    def mishaps(self) -> list[Sent]:
        """A release that broke prices for a few minutes, an order without its id, an event nobody knows, a visitor
        whose banner said no to all, and a call by nobody. Their message ids can be typed."""
        agreed, refused = self._visitor(AGREES), self._visitor(REFUSES_BY_TCF)
        return [
            *(self._named(f"price-with-comma-{n}", 1500.0 + 40 * n, self._broken_price()) for n in (1, 2, 3, 4)),
            self._named("order-without-id", 2400.0, self._order_without_id()),
            *(
                self._named(f"popup-{n}", 500.0 * n, self._call(agreed, "track", "/", "Popup Closed"))
                for n in (1, 2, 3)
            ),
            self._named(
                "consent-refused",
                2000.0,
                self._call(refused, "track", "/p/tent-2p", "Product Viewed", **_facts(PRODUCTS[0])),
            ),
            self._named("by-nobody", 3000.0, self._by_nobody()),
        ]

    def _named(self, message_id: str, moment: float, sent: Sent) -> Sent:
        sent.call["messageId"] = message_id
        return self._placed(sent, moment)

    def _buyer(self) -> Visitor:
        visitor = self._visitor(AGREES)
        visitor.cart = [(self._random.choice(PRODUCTS), 1)]
        return visitor

    def _broken_price(self) -> Sent:
        sale = self._sale(self._buyer(), "/checkout/thanks")
        for product in sale.call["properties"]["products"]:
            product["price"] = f"{product['price']:.2f}".replace(".", ",")
        return sale

    def _order_without_id(self) -> Sent:
        sale = self._sale(self._buyer(), "/checkout/thanks")
        del sale.call["properties"]["order_id"]
        return sale

    def _by_nobody(self) -> Sent:
        sent = self._call(self._visitor(), "track", "/", "Popup Closed")
        del sent.call["anonymousId"]
        return sent


def an_hour(end_ms: int, events: int = 2000, number: int = 1) -> Hour:
    """The hour up to `end_ms`, with about so many events and everything that goes wrong in it."""
    shop = Shop(end_ms, number)
    mishaps = shop.mishaps()
    sent = sorted(mishaps + shop.visits(events - len(mishaps)), key=lambda one: one.moment)
    return Hour(sent, shop.sales, refused="consent-refused", broken="price-with-comma-1")


def _facts(product: Product) -> dict[str, Any]:
    return {"product_id": product.id, "name": product.name, "category": product.category, "price": product.price}


def _basket(visitor: Visitor) -> dict[str, Any]:
    products = [{**_facts(product), "quantity": quantity} for product, quantity in visitor.cart]
    return {"currency": "EUR", "products": products}


def _total(visitor: Visitor) -> float:
    return round(sum(product.price * quantity for product, quantity in visitor.cart), 2)
