"""What is recognised as an e-mail address or a phone number, however it is written; and what is not."""

import uuid
from base64 import b64encode, urlsafe_b64encode
from urllib.parse import quote

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from firsthand.personal import has_personal, mask_text, scrub

LOCALS = st.from_regex(r"[a-z0-9][a-z0-9._+\-]{1,20}[a-z0-9]", fullmatch=True)
INTERNATIONAL_LOCALS = st.text("äöüéñßæжя用户mnb", min_size=2, max_size=12)
DOMAINS = st.sampled_from(["shop.example", "mail.example.co.uk", "bücher.example", "例子.公司", "a-b.example"])
ADDRESSES = st.builds("{}@{}".format, LOCALS | INTERNATIONAL_LOCALS, DOMAINS)
AROUND = [
    "{}",
    "https://shop.example/?m={}&x=1",
    "https://shop.example/u/{}/orders",
    "https://shop.example/?next=%2Fx%3Fm%3D{}",
    "https://shop.example/#/m={}",
    "mailto:{}",
    "App/1.0 (Android 14; {}; Pixel)",
]


def written(address: str) -> dict[str, str]:
    """An address in all its forms."""
    data = address.encode()
    return {
        "plain": address,
        "encoded": quote(address),
        "encoded whole": "".join(f"%{byte:02x}" for byte in data),
        "twice": quote(quote(address)),
        "three times": quote(quote(quote(address))),
        "%u": address.replace("@", "%u0040"),
        "entity": address.replace("@", "&#64;"),
        "entity in hex": address.replace("@", "&#x40;"),
        "entity, encoded": address.replace("@", "%26%2364%3B"),
        "escape": address.replace("@", "\\u0040"),
        "base64": b64encode(data).decode(),
        "base64 without padding": b64encode(data).decode().rstrip("="),
        "base64 for addresses": urlsafe_b64encode(data).decode(),
        "base64, encoded": quote(b64encode(data).decode()),
        "base64 of an object": b64encode(b'{"email":"' + data + b'","n":1}').decode().rstrip("="),
        "base64 after something": "id_" + b64encode(data).decode(),
        "hex": data.hex(),
        "hex in capitals": data.hex().upper(),
    }


@given(ADDRESSES, st.sampled_from(sorted(written(""))), st.sampled_from(AROUND))
def test_an_address_is_found_in_every_form(address: str, form: str, around: str) -> None:
    given = written(address)[form]
    text = around.format(given)
    assert has_personal(text)
    for result in (scrub(text), mask_text(text)):
        assert given not in result
    assert scrub(scrub(text)) == scrub(text)


@pytest.mark.parametrize("form", sorted(written("")))
def test_what_is_around_an_address_stays(form: str) -> None:
    given = written("jane.doe@mail.example")[form]
    assert scrub(f"https://shop.example/a?m={given}&x=1") in WITHOUT


WITHOUT = ("https://shop.example/a?m=&x=1", "https://shop.example/a?m=id_&x=1")


PHONES = [
    "+49 170 1234567",
    "+491701234567",
    "+49 (0)170 / 1234567",
    "+49-30-123456-0",
    "+49.170.1234567",
    "+1 (202) 555-0143",
    "+1-202-555-0143",
    "+12025550143",
    "+44 20 7946 0018",
    "+33 6 12 34 56 78",
    "+45 12 34 56 78",
    "+420 601 234 567",
    "00491701234567",
    "0049 170 1234567",
    "0044 20 7946 0018",
    "001 202 555 0143",
    "(030) 123-4567",
    "(0170) 1234567",
    "(202) 555-0143",
    "202-555-0143",
    "202.555.0143",
    "1-202-555-0143",
    "030 1234567",
    "030/1234567",
    "0170-1234567",
    "0170 123 45 67",
    "0171 / 1234567",
    "06 12 34 56 78",
    "06.12.34.56.78",
    "06-12345678",
    "020 7946 0018",
    "07700 900123",
    "tel:01701234567",
    "tel:+491701234567",
    "Tel.: 01701234567",
    "phone=01701234567",
    "customerPhone=1701234567",
    "billing[phone]=01701234567",
    "mobile_number=1701234567",
    "https://wa.me/491701234567",
]


@pytest.mark.parametrize("phone", PHONES)
def test_a_number_is_found_as_people_write_it(phone: str) -> None:
    assert has_personal(phone)
    assert sum(map(str.isdigit, scrub(phone))) == 0
    assert mask_text(phone).endswith("***" + "".join(mark for mark in phone if mark.isdigit())[-2:])


@pytest.mark.parametrize("phone", PHONES[:32])
@pytest.mark.parametrize("times", [0, 1, 2])
@pytest.mark.parametrize("around", AROUND)
def test_a_number_is_found_in_urls_and_user_agents(phone: str, times: int, around: str) -> None:
    given = phone
    for _ in range(times):
        given = quote(given, safe="")
    if times == 0 and "/" in phone and "/{}" in around:
        return  # two parts of a path
    text = around.format(given)
    assert has_personal(text)
    assert scrub(text) == around.format("")


@given(st.integers(2, 9), st.text("0123456789", min_size=8, max_size=12), st.sampled_from(["+", "%2B", "%252B"]))
def test_every_international_number(first: int, rest: str, plus: str) -> None:
    assert scrub(f"https://shop.example/?p={plus}{first}{rest}&x=1") == "https://shop.example/?p=&x=1"


NONE = [
    *("2026-000123", "100000123", "000000123", "#1001", "A-1001", "302-1234567-1234567", "028-1234567-1234567"),
    *("SO-2026-11-000123", "01-2026-000123", "INV/2026/000123", "0-306-40615-2", "978-3-16-148410-0", "0378-5955"),
    *("4006381333931", "0012345678905", "00012345678905", "012345678905", "00712345678904"),
    *("49.90", "1,299.00", "1.299,00", "1 299 000", "10.00-20.00", "0.10", "1499", "-0.5"),
    *("2026-11-22T10:15:00.000Z", "2026-11-22T10:15:00+02:00", "2026-11-22T10%3A15%3A00%2B02%3A00", "1795342500000"),
    *("1795342500", "2026-11-22 10:15:00", "22.11.2026 10:15", "11/22/2026", "20261122101500", "01-02-2026"),
    *("203.0.113.9", "2001:db8::8:1", "127.0.0.1:8080", "10.20.30.40/24"),
    *("3f2504e0-4f89-41d3-9a0c-0305e82c3301", "3F2504E04F8941D39A0C0305E82C3301", "k-gum_0123456789-abc"),
    "GA1.2.1234567890.1795342500",
    "fb.1.1795342500000.1234567890",
    "Cj0KCQiAgP6PBhDmARIsAPWMq6nFbEJ0ZqW0p1kY0J8ZkT1mXWvQ7r8s9t0uVwXyZaBcDeFgHiJkLmNoEALw_wcB",
    "IwAR0123456789_abcdefghijklmnopqrstuvwxyz-ABCDEFGHIJKLMNOPQRSTUVW",
    "b4c9a289323b21a01c3e940f150eb9b8c542587f1abfd8f0e1cc1ffc5e475514",
    "https://shop.example/p/4006381333931-running-shoes?size=42&color=red",
    "https://shop.example/p/0170-1234567",
    "https://shop.example/?sku=0170-1234567&order_id=0049170123456",
    "https://shop.example/2026/11/22/sale",
    "https://shop.example/?q=iphone+15+pro+256&mobile=1&hotel=12345678",
    "https://maps.example/@48.137154,11.576124,15z",
    "https://shop.example/?from=0&to=100&w=1024&h=768&dpr=2.625",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/144.0.0.0 Safari/537.36",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko)"
    " GSA/293.0.595385423 Mobile/15E148 Safari/604.1",
    "Mozilla/5.0 (Linux; Android 14; SM-S911B Build/UP1A.231005.007; wv) Chrome/144.0.7559.132 Instagram 309.1.0.41.113"
    " (34/14; 480dpi; 1080x2115; samsung; SM-S911B; dm1q; qcom; de_DE; 537288535)",
    "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
    *("Bed & Breakfast", "2 @ 5 EUR", "Levi's 501 (1990) 32/34", "100 % Wolle", "size 38-40", "Fön 2000 (230 V)"),
    "",
]


@pytest.mark.parametrize("text", NONE)
def test_what_is_no_person_stays(text: str) -> None:
    assert not has_personal(text)
    assert scrub(text) == text
    assert mask_text(text) == text


IDS = (
    st.integers(1, 10**14).map(str)
    | st.uuids().map(str)
    | st.uuids().map(lambda id: id.hex)
    | st.binary(min_size=16, max_size=60).map(lambda data: urlsafe_b64encode(data).decode().rstrip("="))
    | st.binary(min_size=16, max_size=32).map(bytes.hex)
    | st.floats(0, 1e6).map(lambda price: f"{price:.2f}")
    | st.datetimes().map(str)
    | st.ip_addresses().map(str)
    | st.builds("{}-{:06}".format, st.integers(2000, 2099), st.integers(0, 999_999))
    | st.builds("{}.0.{}.{}".format, st.integers(80, 150), st.integers(0, 9999), st.integers(0, 300))
)


@example("0095-01-01 00:00:00", "{}")
@given(IDS, st.sampled_from(["{}", "https://shop.example/p/{}", "https://shop.example/?id={}&x=1", "App/{} (x)"]))
def test_whatever_ids_look_like(id: str, around: str) -> None:
    assert scrub(around.format(id)) == around.format(id)


@given(st.text())
def test_any_text_is_read(text: str) -> None:
    assert scrub(scrub(text)) == scrub(text)
    mask_text(text)


@pytest.mark.parametrize("mark", ["x", "@", "%", "%25", "0 ", "(0", "+4", "&#64;", "a@", "Qm", "40", "/", "\\u0040"])
def test_a_long_text_takes_no_long_time(mark: str) -> None:
    scrub(mark * 100_000)
    mask_text("a" + mark * 100_000)


def test_an_id_is_the_same_whatever_its_case() -> None:
    assert scrub(str(uuid.UUID(int=2**127)).upper()) == str(uuid.UUID(int=2**127)).upper()


@pytest.mark.parametrize("zero", [0x660, 0x6F0, 0x966, 0xFF10], ids=["Arabic", "Persian", "Devanagari", "wide"])
def test_a_number_in_digits_of_another_script_is_one(zero: int) -> None:
    number = "+4917612345678".translate({ord("0") + n: zero + n for n in range(10)})
    assert scrub(f"https://shop.example/?q={number}&x=1") == "https://shop.example/?q=&x=1"
    assert has_personal(number)
