"""What a customer fills in to install Criteo server-to-server."""

from typing import Annotated, Literal

from msgspec import Meta, Struct

from firsthand.vendors.hashing import HashForm
from firsthand.vendors.options import END, Amount, Flag, Fractions, OrderLines, Path, Seconds, about

PartnerId = Annotated[str, Meta(pattern=rf"^[0-9]{{3,10}}{END}")]
MappingKey = Annotated[str, Meta(pattern=rf"^[0-9]{{1,20}}{END}")]
Region = Literal["auto", "eu", "us", "as"]
Carrier = Literal["event", "gum"]


class CriteoS2S(Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """Settings of one integration with Criteo's server-to-server website events."""

    partner_id: Annotated[PartnerId, about("Criteo's number for your account (partner id).")]
    mapping_key: Annotated[MappingKey, about("Your S2S id (caller id), as `c` in the GUM call; not the partner id.")]
    region: Annotated[Region, about("Where Criteo keeps your data. `auto` asks Criteo, which redirects.")] = "auto"
    method: Annotated[Literal["post", "get"], about("`get` puts hashes and addresses into access logs.")] = "post"
    product_id: Annotated[Path, about("Where a product's id is, as in your feed: `sku`, `variant.id`.")] = "product_id"
    price_fallback: Annotated[
        Amount | Path | None, about("For products without `price`: an amount, or where else to look (`list_price`).")
    ] = None
    fractional_quantity: Annotated[
        Fractions, about("A quantity such as 1.85: `fold` sends 1 at price × quantity; or `refuse` the event.")
    ] = "fold"
    order_lines: Annotated[
        OrderLines, about("Lines without a product id or below 0: `lenient` leaves them out; `strict` refuses.")
    ] = "lenient"
    hash_forms: Annotated[
        tuple[HashForm, ...], about("How an e-mail address is sent. Criteo asks for `sha256` and a form with MD5.")
    ] = ("md5", "sha256", "sha256_md5")
    hashed_email: Annotated[
        Literal["sha256", "sha256_md5"], about("What 64 hex digits mean where events carry hashes for addresses.")
    ] = "sha256"
    dd: Annotated[
        Flag, about("Do you attribute a sale to Criteo: `1` yes, `0` no, `omit`, or a path such as `properties.click`.")
    ] = "omit"
    country_language: Annotated[bool, about("Send both, from `context.location.country` and `context.locale`.")] = False
    max_age_online: Annotated[Seconds | None, about("Older events are not sent: Criteo wants them soon.")] = 86_400.0
    max_age_offline: Annotated[Seconds | None, about("The same for sales in a shop (`channel: in_store`).")] = 172_800.0
    consent_carrier: Annotated[Carrier, about("The consent string comes with each event, or the GUM call.")] = "event"
