"""What events hold as text, for vendors that take nothing else, as in a query. Numbers keep their digits."""

from decimal import Context, Decimal
from urllib.parse import parse_qsl, urlsplit

from msgspec import Raw

from firsthand.personal import has_personal, scrub
from firsthand.vendors.fields import Fields, Number

EXACT = Context(prec=80)  # more digits than any `amount` times any `quantity` has


def digits(number: Number, times: int | Decimal = 1) -> str:
    """A number, or so many times it, to the last digit and without exponent."""
    exact = Decimal(bytes(number).decode() if isinstance(number, Raw) else str(number))
    return format(EXACT.multiply(exact, Decimal(times)), "f")


def as_text(fields: Fields, name: str, whole: bool = False) -> str | None:
    """Text without the e-mail addresses and phone numbers in it, a number, or `true` and `false`.

    Anything else is left out.

    Text that is neither address nor URL stays whole: a product may be called Bed@Home. Where it must be `whole`, text
    with one of them in it is None.
    """
    value = fields.get(name)
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str) and "://" not in value and not has_personal(value):
        return value
    if whole and isinstance(value, str) and scrub(value) != value:
        return None
    return digits(value) if isinstance(value, float) else fields.scrubbed(name)


def query_of(url: str | None) -> dict[str, str]:
    """The parameters of a URL that have a value; nothing where it can't be read."""
    try:
        return {name: value for name, value in parse_qsl(urlsplit(url or "").query) if value.strip()}
    except ValueError:  # a host in brackets that is no address
        return {}
