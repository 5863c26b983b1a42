"""The words of Raptor's tracking service: what there is to send, and what a tracking can have wrong.

Raptor answers with an image whatever it is sent, and says what it made of it in its Control Panel alone. So the codes
are our invention; what they enforce is in Raptor's help pages and its public tag templates.
"""

from collections.abc import Mapping
from typing import Literal

import msgspec

EVENTS = (
    *("pageview", "visit", "basket", "buy", "itemclick", "favorite", "contentvisit"),
    *("search", "searchclick", "searchresult"),
)
"""Names besides which customers may have their own; links in e-mails make others that end in `click`."""

NAMES = frozenset(
    {"coid", "sid", "ruid", "reaid", "xuid", "am", "v", "url", "ts", "source", "oc1", "oc2", "oc3", "oc4"}
    | {"utm_source", "utm_medium", "utm_campaign", "utm_term", "utm_content", "rchsource", "rchmodule", "rchitemid"}
)
"""What there is in the query besides p1 to p999."""

MOST_LEVELS = 4
"""Of a category: Raptor asks for three or four."""
LONGEST = 8_000
"""Bytes of an address. Our invention: servers take some 8 kB."""

ERRORS: Mapping[str, str] = {
    "MethodInvalid": "not a GET",
    "EncodingInvalid": "not URL-encoded as UTF-8; a blank is %20",
    "ParameterRepeated": "the same name twice",
    "EventMissing": "no p1",
    "CookieIdMissing": "no coid, which every tracking has",
    "CookieIdInvalid": "coid is neither a UUID v4 nor 32 hex digits",
    "SessionIdMissing": "no sid, which every tracking has",
    "SessionIdInvalid": "sid is neither a UUID v4 nor 32 hex digits",
    "UserIdInvalid": "ruid is not text in UTF-8, in base64",
    "ExternalIdNotAlone": "xuid together with ruid or reaid",
    "PlaceholderLeft": "a placeholder of Raptor's documentation, such as [cookieId], that was not filled in",
    "UrlInvalid": "url is no absolute URL",
    "StreamEventInvalid": "what happened in a shop is something else than a sale (p1=buy)",
    "SourceMissing": "a sale in a shop without source=webhook",
    "ModuleMissing": "a click on an item without am, the module's name",
    "ProductMissing": "no product id (p2)",
    "BasketMissing": "no list of products (p10); it is empty when the basket is",
    "OrderIdMissing": "a sale without its order id (p21)",
    "AmountMissing": "a sale without its subtotal (p5), price (p12) or quantity (p13)",
    "NumberInvalid": "a price (p12), a subtotal (p5) or a quantity (p13) that is no plain number with a decimal point",
    "SubtotalWrong": "the subtotal (p5) is not the price (p12) times the quantity (p13)",
    "StockInvalid": "the stock status (p15) is neither true nor false",
    "CategoryInvalid": "the category path (p4) is not Id#Name;Id#Name, or has a comma in it",
}

WARNINGS: Mapping[str, str] = {
    "UnknownEvent": "an event (p1) that is the customer's own, or misspelt",
    "EventCase": "p1 is not in lower case, as Raptor's templates write it",
    "UnknownParameter": "a name that Raptor does not document",
    "EmptyValue": "a value that is empty, in another place than p10",
    "DuplicateBuy": "the same order line has come before: it counts twice",
    "AddressLong": "longer than 8,000 bytes: servers may cut it off or refuse it",
    "CategoryDeep": "more than four levels of categories (p4)",
    "BasketRepeats": "a product that is in the basket's list twice",
    "PersonalData": "an e-mail address in another place than ruid",
    "SourceElsewhere": "source, which goes with sales in a shop",
    "StreamOnly": "coid or sid with a sale in a shop, where there is no browser",
    "StreamUserMissing": "a sale in a shop without ruid: nobody can be told that bought it",
}


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The switches of `/_control/raptor/settings`."""

    usual_positions: bool = True
    """Whether p2 to p21 hold what they usually do. False: the customer's table is another, so they are not judged."""
    stream_ruid: Literal["base64", "plain"] = "base64"
    """How ruid comes with sales in a shop: Raptor's rule for all trackings, or as its page about sales shows it."""
