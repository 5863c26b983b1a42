"""What servers and images say of a visitor's consent is read as what pages say."""

from typing import Any
from urllib.parse import quote

import pytest
from tests.collect.client import Client
from tests.collect.test_sync import TCF, Page

from firsthand.config import Cmp, Source

OWN_CODES = Source(key="own", write_key="own-key", cmp=Cmp(categories={"marketing": ("ads",)}))


@pytest.mark.parametrize("path", ["/v1/track", "/v1/batch"])
async def test_a_servers_category_preferences_are_read_into_categories(client: Client, path: str) -> None:
    context = {"consent": {"categoryPreferences": {"Advertising": False, "Analytics": True}}}
    sent: dict[str, Any] = {"type": "track", "event": "Order Completed", "userId": "u1", "context": context}
    assert (await client.post(path, {"batch": [sent]} if path == "/v1/batch" else sent)).status == 200
    assert client.log.events[0].context["consent"]["categories"] == {"marketing": False, "analytics": True}


async def test_they_may_be_the_sources_own_codes() -> None:
    client = Client(OWN_CODES)
    context = {"consent": {"categoryPreferences": {"ads": False}}}
    await client.post("/v1/track", {"writeKey": "own-key", "event": "A", "userId": "u1", "context": context}, key=None)
    assert client.log.events[0].context["consent"]["categories"] == {"marketing": False}


async def test_an_image_on_a_page_that_says_no_more_still_brings_the_browsers_objection(client: Client) -> None:
    """With `Referrer-Policy: no-referrer` there is neither an origin nor a page in the request."""
    query = f"writeKey=shop-key&event={quote('Order Completed')}&userId=u1"
    await client.send("GET", "/v1/pixel/track", {"sec-gpc": "1"}, query=query)
    assert client.log.events[0].context["consent"] == {"gpc": True}


async def test_a_sensitive_page_is_offered_no_sync() -> None:
    page = Page()
    assert await page.due(TCF | {"sensitive": True}) == []
    assert await page.due(TCF) == ["123"]
