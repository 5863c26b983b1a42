"""What a customer fills in to install Criteo server-to-server."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

Seconds = Annotated[float, Meta(gt=0)]
HashForm = Literal["md5", "sha256", "sha256_md5"]

END = r"$(?!\n)"  # `$` alone also matches before a final newline, which a value read from a file may have
PATH = rf"^[^.\s]+(\.[^.\s]+)*{END}"


class CriteoS2S(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """Settings of one integration with Criteo's server-to-server website events."""

    partner_id: Annotated[
        str, Meta(pattern=rf"^[0-9]{{3,10}}{END}", description="Criteo's number for your account (partner id).")
    ]
    mapping_key: Annotated[
        str,
        Meta(
            pattern=rf"^[0-9]{{1,20}}{END}",
            description="Your S2S id (caller id), the same number as `c` in the GUM call. It is not the partner id.",
        ),
    ]
    region: Annotated[
        Literal["auto", "eu", "us", "as"],
        Meta(description="Where Criteo keeps your data. `auto` asks Criteo, which redirects to the right region."),
    ] = "auto"
    method: Annotated[
        Literal["post", "get"],
        Meta(description="How events are sent. `get` puts hashes and addresses into access logs; prefer `post`."),
    ] = "post"
    product_id: Annotated[
        str,
        Meta(
            pattern=PATH,
            description="Where in a product its id is, as in your catalogue feed: `product_id`, `sku`, `variant.id`.",
        ),
    ] = "product_id"
    price_fallback: Annotated[
        Annotated[float, Meta(ge=0)] | Annotated[str, Meta(pattern=PATH)] | None,
        Meta(description="For products without `price`: an amount, or where else to look, such as `list_price`."),
    ] = None
    hash_forms: Annotated[
        tuple[HashForm, ...],
        Meta(description="The forms in which an e-mail address is sent. Criteo asks for `sha256` and a form with MD5."),
    ] = ("md5", "sha256", "sha256_md5")
    hashed_email: Annotated[
        Literal["sha256", "sha256_md5"],
        Meta(description="What 64 hex digits mean when your events carry hashes in place of e-mail addresses."),
    ] = "sha256"
    dd: Annotated[
        Annotated[int, Meta(ge=0, le=1)]
        | Annotated[str, Meta(pattern=rf"^(omit|0|1|(properties|context|traits)(\.[^.\s]+)+){END}")],
        Meta(
            description="Do you attribute the sale to Criteo: `1` yes, `0` no, `omit`, or a path in the event, such as "
            "`properties.criteo_click`. It is about attribution; it removes no duplicates."
        ),
    ] = "omit"
    country_language: Annotated[
        bool, Meta(description="Send country and language, from `context.location` and `context.locale`.")
    ] = False
    max_age_online: Annotated[
        Seconds | None, Meta(description="Older events are not sent. Criteo wants them in near real time.")
    ] = 86_400.0
    max_age_offline: Annotated[
        Seconds | None, Meta(description="The same for sales in a shop (`channel: in_store`).")
    ] = 172_800.0
    consent_carrier: Annotated[
        Literal["event", "gum"],
        Meta(description="Where Criteo gets the consent string: with each event, or once with the GUM call."),
    ] = "event"
