"""What a customer fills in to install Raptor."""

import re
from typing import Annotated, Literal

from msgspec import Meta, Struct

from firsthand.config.values import Unreadable, did_you_mean
from firsthand.vendors.options import END, Fractions, OrderLines, Path, Seconds, about
from firsthand.vendors.raptor.tables import EVENTS, PARAMETERS, UNPLACED

CustomerId = Annotated[str, Meta(pattern=rf"^[A-Za-z0-9_-]{{1,64}}{END}")]
RaptorEvent = Annotated[str, Meta(pattern=rf"^[a-z][a-z0-9_-]{{0,49}}{END}")]
UserId = Annotated[str, Meta(pattern=rf"^(email|user_id|(properties|context|traits)(\.[^.\s]+)+){END}")]
Separator = Annotated[str, Meta(min_length=1, max_length=10)]
Table = dict[str, dict[str, Path | None]]
Identifier = Literal["ruid", "reaid", "xuid"]

PARAMETER = re.compile(r"p([2-9]|[1-9][0-9]{1,2})|oc[1-4]")  # p1 is the event itself


class Raptor(Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """Settings of one integration with Raptor's tracking service."""

    customer_id: Annotated[CustomerId, about("Raptor's id for your account, as in the address of your trackings.")]
    parameters: Annotated[Table, about("Raptor's event, or `every` → p2 to p999, oc1 to oc4 → what goes there.")] = {}
    events: Annotated[dict[str, RaptorEvent], about("Your events besides the usual ones → Raptor's.")] = {}
    product_id: Annotated[Path, about("Where a product's id is, as in your feed: `sku`, `variant.id`.")] = "product_id"
    basket: Annotated[Path, about("Where in `properties` the list of all products in the basket is.")] = "products"
    basket_format: Annotated[Literal["ids", "ids_and_quantities"], about("`A,B`, or `A:1;B:2`.")] = "ids"
    basket_separator: Annotated[Separator | None, about("Between products: `,`, or `;` with quantities.")] = None
    fractional_quantity: Annotated[
        Fractions, about("A quantity such as 1.85: `fold` sends 1 at price × quantity; or `refuse` the event.")
    ] = "fold"
    order_lines: Annotated[
        OrderLines, about("Lines without a product id or below 0: `lenient` leaves them out; `strict` refuses.")
    ] = "lenient"
    identifiers: Annotated[tuple[Identifier, ...], about("`xuid`, of HeyLoyalty, goes alone.")] = ("ruid", "reaid")
    ruid_source: Annotated[UserId, about("`email`, `user_id`, or a path such as `traits.club_id`.")] = "email"
    ruid_storage: Annotated[Literal["server", "cookie"], about("Where an address is remembered.")] = "server"
    stream_ruid: Annotated[Literal["base64", "plain"], about("How ruid goes with sales in a shop.")] = "base64"
    max_age_online: Annotated[Seconds | None, about("Older events are not sent: they'd count as of now.")] = 86_400.0
    max_age_offline: Annotated[Seconds | None, about("The same for sales in a shop (`channel: in_store`).")] = 172_800.0

    def __post_init__(self) -> None:
        if "xuid" in self.identifiers and len(self.identifiers) > 1:
            raise ValueError("identifiers: xuid can't be used together with ruid or reaid")
        if self.ruid_storage == "cookie" and (self.ruid_source != "email" or "ruid" not in self.identifiers):
            raise ValueError("ruid_storage: the cookie is for e-mail addresses: it needs ruid, from email")
        known = {*PARAMETERS, *UNPLACED, *self.events.values()}
        for event in [event for event in self.parameters if event not in known]:
            meant = {**EVENTS, **self.events}.get(event) or event.lower()
            raise Unreadable(f"parameters: Raptor has no event {event}", did_you_mean(meant, known))
        for name in [name for row in self.parameters.values() for name in row if not PARAMETER.fullmatch(name)]:
            raise ValueError(f"parameters: there is no {name}; there are p2 to p999 and oc1 to oc4")
