"""The fields that an imported event may have, and what they usually are."""

from collections.abc import Sequence
from typing import Literal

ValueType = Literal["string", "id", "decimal", "quantity", "integer", "boolean", "json", "timestamp", "date"]

OBJECTS = ("properties", "traits", "context", "integrations")
IDS = ("messageId", "anonymousId", "userId", "previousId", "groupId")
FIELDS = frozenset({"type", "name", "event", "category", "timestamp", *IDS, *OBJECTS})
"""`receivedAt` is the collector's. `sentAt` is not among them: the collector compares it with now to see how wrong the
sender's clock is, and would move all times of a file of last year by a year."""
DECIMALS = frozenset({"price", "total", "revenue", "value", "subtotal", "shipping", "tax", "discount"})
PROPERTY_IDS = frozenset({"order_id", "product_id"})


def usual_type(steps: Sequence[str]) -> ValueType | None:
    """What the field at a path is where nobody says; None: whatever the file has there.

    Consent above all must not arrive as the text "false", nor a number with its zeros as an id of its own.
    """
    first, last = steps[0], steps[-1]
    if len(steps) == 1:
        if first in IDS:
            return "id"
        return "timestamp" if first == "timestamp" else "json" if first in OBJECTS else "string"
    if list(steps[:2]) == ["context", "consent"]:
        if last in ("gpc", "gdprApplies") or (len(steps) == 4 and steps[2] in ("categories", "categoryPreferences")):
            return "boolean"
        return "integer" if last == "policyVersion" else "json" if len(steps) < 4 and last != "usPrivacy" else "string"
    if first == "properties" and last in DECIMALS:
        return "decimal"
    if first == "properties" and last in PROPERTY_IDS:
        return "id"
    if first == "properties" and last in ("quantity", "position"):
        return "quantity" if last == "quantity" else "integer"
    return "json" if last == "products" else None
