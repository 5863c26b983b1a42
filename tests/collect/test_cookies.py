"""The Cookie header read within bounds, and whose cookies a host may set."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firsthand.collect.cookies import HEADER_BYTES, MOST, VALUE_LENGTH, Jar, set_cookie
from firsthand.collect.hosts import Site, same_site, site_of

SITE = Site("www.shop.example", "shop.example")


@pytest.mark.parametrize(
    ("host", "domain"),
    [
        ("shopname.com", "shopname.com"),
        ("www.shopname.com", "shopname.com"),
        ("a.b.c.shopname.com:8443", "shopname.com"),
        ("events.shop.co.uk", "shop.co.uk"),
        ("WWW.Shop.Co.UK", "shop.co.uk"),
        ("www.shop.example.", "shop.example"),
        ("www.city.kawasaki.jp", "city.kawasaki.jp"),
        ("shop.github.io", "shop.github.io"),
        ("www.xn--bcher-kva.example", "xn--bcher-kva.example"),
        ("localhost", None),
        ("localhost:8080", None),
        ("collector:8080", None),
        ("127.0.0.1:8080", None),
        ("[::1]:8080", None),
        ("[2001:DB8::1]", None),
    ],
)
def test_the_domain_of_a_host(host: str, domain: str | None) -> None:
    site = site_of(host.encode())
    assert site is not None
    assert site.domain == domain


@pytest.mark.parametrize(
    "host",
    [
        *("", ".", "co.uk", "com", "uk:80", "github.io", "kawasaki.jp", "a..example", ".shop.example", "-:1:2", "[::1"),
        *("shop.example;Secure", "shop.example\r\nX: y", "shop.example\n", "shop.example/x", "a@shop.example", "*.x.y"),
        *("shop.example:", "shop.example:http", "[x]", "1.2.3", "999.1.1.1", "shop.7", "büch.example", "a b.example"),
        ".".join(["a" * 60] * 5),
    ],
)
def test_these_hosts_set_no_cookie(host: str) -> None:
    assert site_of(host.encode()) is None


@pytest.mark.parametrize(
    ("origin", "host", "same"),
    [
        ("https://www.shop.co.uk", "events.shop.co.uk", True),
        ("http://www.shop.co.uk:8000", "events.shop.co.uk:8080", True),
        ("http://localhost:8000", "localhost:8080", True),
        ("http://127.0.0.1:1", "127.0.0.1:2", True),
        ("https://other.co.uk", "events.shop.co.uk", False),
        ("https://evilshop.co.uk", "shop.co.uk", False),
        ("https://co.uk", "co.uk", False),
        ("https://a.github.io", "b.github.io", False),
        ("http://localhost", "127.0.0.1", False),
        ("http://10.0.0.1", "10.0.0.2", False),
        ("null", "shop.example", False),
        ("null", "null", False),
        ("file://", "shop.example", False),
        ("https://shop.example/path", "shop.example", False),
        ("https://shop.example https://evil.example", "shop.example", False),
        ("https://evil.example#.shop.example", "shop.example", False),
        ("https://x@shop.example", "shop.example", False),
        ("", "", False),
    ],
)
def test_which_pages_are_of_the_same_site(origin: str, host: str, same: bool) -> None:
    assert same_site(origin.encode(), host.encode()) is same


def jar(header: str) -> Jar:
    return Jar(header.encode("latin-1"))


def test_pairs_are_read_as_browsers_write_them() -> None:
    cookies = jar("a=1; b = 2 ;c=; e; f=x=y; f=z;;\tg=7; xa=9; h=3 a=8; aa=1")
    read = {"a": "1", "b": "2", "c": "", "f": "x=y", "g": "7", "xa": "9", "h": "3 a=8", "aa": "1"}
    assert cookies.all == read
    assert [cookies.get(name, lambda value: True) for name in ("a", "c", "f", "xa", "h", "aa", "x", "e")] == [
        *("1", "", "x=y", "9", "3 a=8", "1", None, None)
    ]
    assert ["a" in cookies, "e" in cookies, cookies.may_have(["y", "n"]), cookies.may_have(["n"])] == [
        *(True, False, True, False)
    ]
    assert (Jar(None).all, Jar(None).get("a", str.isascii)) == ({}, None)


def test_the_first_valid_one_of_several_counts() -> None:
    cookies = jar("id=bad; id=%67ood; id=good2")
    assert cookies.get("id", lambda value: value.startswith("good")) == "good"
    assert cookies.get("id", lambda value: False) is None
    assert cookies.get("other", lambda value: True) is None


def test_a_header_of_a_size_that_no_browser_sends_is_not_looked_at() -> None:
    for header in ("a=" + "x" * HEADER_BYTES, "a=1;" * (MOST + 1)):
        cookies = jar(header)
        assert (cookies.all, cookies.whole) == ({}, False)
    assert jar("a=" + "x" * 8000 + "; b=1").get("b", str.isdigit) == "1"
    assert jar("a=" + "1" * (VALUE_LENGTH + 1)).get("a", str.isdigit) is None


@given(st.binary(max_size=300))
def test_no_header_is_too_strange(header: bytes) -> None:
    cookies = Jar(header)
    for name in cookies.all:
        cookies.get(name, lambda value: True)


@given(st.text(max_size=60))
def test_what_is_set_comes_back(value: str) -> None:
    value = value.encode("utf-8", "ignore").decode()
    name, header = set_cookie("id", value, 60, SITE, True)
    assert name == b"set-cookie"
    pair, *attributes = header.decode("ascii").split("; ")
    assert attributes == ["Max-Age=60", "Domain=.shop.example", "Path=/", "Secure", "HttpOnly", "SameSite=Lax"]
    assert not set(pair) & set(' ",;\\\r\n')
    assert jar(pair).get("id", lambda found: True) == value


def test_an_address_gets_cookies_for_itself_alone() -> None:
    _, header = set_cookie("id", "1", 60, Site("localhost", None), False)
    assert header == b"id=1; Max-Age=60; Path=/; HttpOnly; SameSite=Lax"
