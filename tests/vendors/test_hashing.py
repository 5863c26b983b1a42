"""Hashes of e-mail addresses, as advertisers match on them."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from firsthand.vendors.hashing import HashForm, hash_email

ALL_FORMS: tuple[HashForm, ...] = ("md5", "sha256", "sha256_md5")


@pytest.mark.parametrize("vector", json.loads(Path(__file__).with_name("criteo_hash_vectors.json").read_text()))
def test_email_hashes(vector: dict[str, Any]) -> None:
    assert hash_email(vector["input"], ALL_FORMS) == vector["email"], vector["what"]


def test_the_ways_to_get_a_hash_wrong() -> None:
    """Each of these values was made by a fault seen in the field, from user@example.com."""
    hashes = hash_email("user@example.com", ALL_FORMS)
    assert hashes is not None
    assert not hashes["sha256_md5"].startswith("d4b628ef"), "of the MD5's 16 bytes, not its 32 digits"
    assert not hashes["sha256_md5"].startswith("5bf244ca"), "of the MD5's digits in upper case"
    assert hashes["md5"] != "8ab058066d75ea5b7e613094a7676d82", "with a newline at the end"
    assert not hashes["md5"].startswith("353d673f"), "with a zero byte at the end"


@pytest.mark.parametrize(
    ("email", "md5", "fault"),
    [
        ("utf\u00ea@gmail.com", "41a0b6e38941e167480e04c7f7ee100f", "Latin-1 bytes"),
        ("INFO@example.com", "559b31c0", "lower case by Turkish rules"),
        (hashlib.sha256(b"user@example.com").hexdigest(), "784e148d", "hashed twice"),
    ],
)
def test_the_ways_to_get_an_md5_wrong(email: str, md5: str, fault: str) -> None:
    assert not (hash_email(email, ALL_FORMS) or {}).get("md5", "").startswith(md5), fault


def test_info_in_upper_case() -> None:
    assert (hash_email("INFO@example.com", ["md5"]) or {})["md5"].startswith("cb3045d1")


@pytest.mark.parametrize(
    "blank", "\t\n\v\f\r \x85\xa0\u1680\u2000\u2009\u200a\u200b\u200d\u2028\u202f\u2060\u3000\ufeff"
)
def test_every_blank_is_trimmed(blank: str) -> None:
    assert hash_email(f"{blank}user@example.com{blank}", ALL_FORMS) == hash_email("user@example.com", ALL_FORMS)


@pytest.mark.parametrize("junk", ["user.example.com", "@", "user@", "@example.com", "1234", "null", "abc123"])
def test_what_is_no_address_has_no_hashes(junk: str) -> None:
    assert hash_email(junk, ALL_FORMS) is None


@pytest.mark.parametrize(
    "written",
    [
        "mailto:user@example.com",
        "MAILTO:user@example.com?subject=Hello",
        "Jane Doe <user@example.com>",
        '"Doe, Jane" <User@Example.com>',
        "<user@example.com>",
        "'user@example.com'",
        '"user@example.com"',
        "user@example.com.",
        "user%40example.com",
        "user\uff20example.com",
    ],
)
def test_what_stands_around_an_address_is_no_part_of_it(written: str) -> None:
    assert hash_email(written, ALL_FORMS) == hash_email("user@example.com", ALL_FORMS)


@pytest.mark.parametrize(
    "nobodys",
    [
        *("none@none", "null@null.com", "undefined@shop.example", "guest@shop.example", "noemail@noemail.com"),
        *("No-Reply@shop.example", "***@example.com", "j***@example.com", "{{email}}@example.com"),
        *("jane@example.com, joe@example.com", "jane@example.com;joe@example.com", "@", "jane@"),
        *(hashlib.sha256(word).hexdigest() for word in (b"null", b"undefined", b"None", b"")),
        *(hashlib.md5(b"null").hexdigest().upper(), "0" * 64, "0" * 32),
    ],
)
def test_what_shops_write_where_they_know_no_address_has_no_hashes(nobodys: str) -> None:
    """Everybody it stands for would be one person to the vendor."""
    assert hash_email(nobodys, ALL_FORMS) is None


def test_hash_forms_that_were_not_asked_for_are_left_out() -> None:
    sha256 = hashlib.sha256(b"user@example.com").hexdigest()
    assert hash_email(sha256, ["md5", "sha256_md5"]) is None
    assert hash_email(sha256, ["sha256_md5"], hashed_email="sha256_md5") == {"sha256_md5": sha256}
    assert hash_email("user@example.com", []) is None
