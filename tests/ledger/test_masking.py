"""What people are shown: no raw personal data, no secrets, everything else as it was."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firsthand.ledger.masking import mask, mask_ip, shown_body, shown_url
from firsthand.personal import mask_text

SHA = "b4c9a289323b21a01c3e940f150eb9b8c542587f1abfd8f0e1cc1ffc5e475514"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("ann@example.com", "a***@example.com"),
        ("mail to Ann.Smith+shop@mail.example.co.uk now", "mail to A***@mail.example.co.uk now"),
        ("https://shop.example/?email=ann%40example.com", "https://shop.example/?email=a***%40example.com"),
        ("müller@bücher.example", "m***@bücher.example"),
        ("o'brien@example.com", "o***@example.com"),
        ("_ann@example.com", "_***@example.com"),
        ("@example.com", "@example.com"),
        ("2 @ 5 EUR", "2 @ 5 EUR"),
        (SHA, SHA),
    ],
)
def test_email_addresses_in_a_text(text: str, shown: str) -> None:
    assert mask_text(text) == shown


@pytest.mark.parametrize(
    ("address", "shown"),
    [("203.0.113.9", "203.0.113.***"), ("2001:db8::8:1", "2001:db8::8:***"), ("no address", "no address")],
)
def test_addresses_lose_their_last_part(address: str, shown: str) -> None:
    assert mask_ip(address) == shown


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ({"Authorization": "Bearer abc"}, {"Authorization": "***"}),
        ({"set-cookie": ["a=1", "b=2"]}, {"set-cookie": ["***", "***"]}),
        ({"phone": "+49 170 1234567"}, {"phone": "***67"}),
        ({"phone": 491701234567}, {"phone": "***67"}),
        ({"context": {"ip": "203.0.113.9"}}, {"context": {"ip": "203.0.113.***"}}),
        ({"traits": {"emails": ["ann@example.com"]}}, {"traits": {"emails": ["a***@example.com"]}}),
        ({"mapped_user_id": "k-abc", "total": 9.5}, {"mapped_user_id": "k-abc", "total": 9.5}),
    ],
)  # fmt: skip
def test_values_by_their_name(value: Any, shown: Any) -> None:
    assert mask(value) == shown


@pytest.mark.parametrize(
    ("body", "shown"),
    [
        (b'{"email":"ann@example.com"}', {"email": "a***@example.com"}),
        (b"<html>ann@example.com</html>", "<html>a***@example.com</html>"),
        (b"\xff\xfe", "��"),
        (b"[" * 5000, "[" * 5000),
        (b"", ""),
        (None, None),
    ],
    ids=repr,
)
def test_a_body_is_json_where_it_is_json_and_else_a_text(body: bytes | None, shown: Any) -> None:
    assert shown_body(body) == shown


def test_a_document_in_a_query_is_masked_as_a_body_is() -> None:
    url = (
        "https://vendor.example/m/event?version=1&data=%7B%22email%22%3A%22ann%40example.com%22%7D&u=bob%40example.com"
    )
    assert (
        shown_url(url)
        == 'https://vendor.example/m/event?version=1&data={"email":"a***@example.com"}&u=b***%40example.com'
    )


def test_a_secret_in_a_query_is_masked() -> None:
    url = "https://vendor.example/e?accessToken=t-1&api_key=k-1&sid=1"
    assert shown_url(url) == "https://vendor.example/e?accessToken=***&api_key=***&sid=1"


def test_an_address_in_base64_is_masked() -> None:
    """Raptor's `ruid`: base64 hides it from nobody."""
    url = "https://vendor.example/1234.rsa?p1=buy&ruid=dXNlckBleGFtcGxlLmNvbQ%3D%3D&sid=1"
    assert shown_url(url) == "https://vendor.example/1234.rsa?p1=buy&ruid=***&sid=1"
    assert shown_url("https://vendor.example/1234.rsa?ruid=u1") == "https://vendor.example/1234.rsa?ruid=***"


@given(st.from_regex(r"[\w.+\-']{2,30}", fullmatch=True), st.sampled_from(["@", "%40"]))
def test_no_address_survives(local: str, at: str) -> None:
    assert mask_text(f"<{local}{at}example.com>") == f"<{local[0]}***{at}example.com>"


def test_a_long_text_takes_no_long_time() -> None:
    assert mask_text("x" * 300_000 + " @") == "x" * 300_000 + " @"
