"""What is refused, where the fault is said to be, and what the user is told to write instead."""

import contextlib
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from firsthand.config import ConfigError, Fault, example, load, parse
from firsthand.vendors.base import AnyVendor

Faults = Callable[..., dict[str, Fault]]


def integration(**fields: str) -> str:
    """A file with one integration in which these fields are as given."""
    whole = {"key": "cards", "vendor": "postcard", "settings": '{account: "1"}', **fields}
    return "integrations:\n  - " + "\n    ".join(f"{name}: {value}" for name, value in whole.items())


def test_all_faults_of_a_file_are_told_at_once_in_its_order(vendors: dict[str, AnyVendor]) -> None:
    text = """
sources:
  - {key: Web Shop, write_key: a b}
integrations:
  - {key: cards, vendor: postcrad}
log: {max_bytes: lots}
"""
    with pytest.raises(ConfigError) as caught:
        parse(text, {}, vendors)
    assert [(fault.line, fault.path) for fault in caught.value.faults] == [
        (3, "sources[0].key"),
        (3, "sources[0].write_key"),
        (5, "integrations[0].vendor"),
        (6, "log.max_bytes"),
    ]
    assert str(caught.value).splitlines()[:2] == [
        "firsthand.yaml has 4 faults:",
        """  line 3, sources[0].key: "Web Shop" can't be a key; """
        "use lower-case letters, digits and hyphens, at most 63, and no hyphen in front",
    ]


# Vendor settings


def test_a_number_where_text_is_wanted_shows_what_to_quote(faults: Faults) -> None:
    found = faults(integration(settings="{account: 120.10}"))
    fault = found["integrations[0].settings.account"]
    assert fault.message == "120.1 is a number, not text"
    assert fault.remedy == 'put it in quotes, so that no zero is lost: "120.10"'


def test_a_misspelt_setting_is_named_with_the_likely_one(faults: Faults) -> None:
    found = faults(integration(settings='{account: "1", stmaps: 2}'))
    assert found["integrations[0].settings.stmaps"].remedy.startswith("did you mean stamps? accepted: account, ")


def test_a_missing_setting_says_what_it_is(faults: Faults) -> None:
    fault = faults(integration(settings=""))["integrations[0].settings.account"]
    assert fault.message == "this field is missing"
    assert fault.remedy == "give text of the form ^[0-9]+$ (Your account number)"


@pytest.mark.parametrize(
    ("setting", "value", "remedy"),
    [
        ("paper", "shiny", "accepted: glossy, plain"),
        ("stamps", '"two"', "give a whole number"),
        ("max_age_online", "15 minutes", "write it like 500ms, 10s, 15m, 48h or 7d"),
        ("max_age_online", "-1", "give a duration of 0 or more"),
        ("pause", "soon", "write it like 500ms, 10s, 15m, 48h or 7d"),
    ],
)
def test_a_setting_of_the_wrong_kind(faults: Faults, setting: str, value: str, remedy: str) -> None:
    found = faults(integration(settings=f'{{account: "1", {setting}: {value}}}'))
    assert found[f"integrations[0].settings.{setting}"].remedy == remedy


# Limits


@pytest.mark.parametrize(
    ("part", "field", "value", "remedy"),
    [
        ("delivery", "concurrency", "0", "give a whole number from 1 to 1024"),
        ("delivery", "concurrency", "1025", "give a whole number from 1 to 1024"),
        ("delivery", "rate_per_second", "0", "give a number above 0"),
        ("delivery", "timeout", "10m", "give a duration above 0 seconds and of at most 300 seconds"),
        ("delivery", "max_age", "null", "write it like 500ms, 10s, 15m, 48h or 7d"),
        ("delivery", "max_attempts", "many", "give a whole number of at least 1"),
        ("consent", "basis", "tfc", "did you mean tcf? accepted: categories, none, tcf"),
        ("consent", "hold", "2d", "give a duration of at most 86400 seconds"),
        ("consent", "purposes", "[]", "name at least one, or leave the field out for its default"),
        ("consent", "categories", "marketing", "write it as a list: [marketing]"),
        ("mapping", "default", "off", "accepted: disabled, enabled"),
    ],
)
def test_limits(faults: Faults, part: str, field: str, value: str, remedy: str) -> None:
    found = faults(integration(**{part: f"{{{field}: {value}}}"}))
    assert found[f"integrations[0].{part}.{field}"].remedy == remedy


def test_there_is_no_waiting_for_an_id_that_the_vendor_has_not(faults: Faults) -> None:
    found = faults(integration(delivery="{wait_for_id: 5s}"))
    fault = found["integrations[0].delivery.wait_for_id"]
    assert (fault.message, fault.remedy) == ("Postcard gives visitors no id that could be waited for", "remove it")


def test_consent_needs_a_basis(faults: Faults) -> None:
    found = faults(integration(consent="{on_refusal: anonymise}"))
    assert found["integrations[0].consent.basis"].remedy == "give one of tcf, categories, none"


# Between the parts


def test_keys_and_write_keys_are_unique(faults: Faults) -> None:
    found = faults(
        """
    sources:
      - {key: web, write_key: k1, signing_secret: 8-or-more}
      - {key: web, write_key: ${KEY}, signing_secret: 8-or-more}
    integrations:
      - {key: cards, vendor: postcard, settings: {account: "1"}}
      - {key: cards, vendor: postcard, settings: {account: "2"}}
    """,
        KEY="k1",
    )
    assert found["sources[1].key"].remedy == "sources[0] has it already: choose another"
    assert found["sources[1].write_key"].message == "two sources can't have the same write key"
    assert found["sources[1].signing_secret"].message == "two sources can't have the same signing secret"
    assert "integrations[1].key" in found


def test_what_goes_together_is_said_with_its_remedy(faults: Faults) -> None:
    found = faults("sources: [{key: web, write_key: k1, require_signature: true}]")
    assert found["sources[0]"].remedy == "give a signing_secret"


def test_an_unknown_source_is_named_with_those_there_are(faults: Faults) -> None:
    sources = "sources: [{key: web-shop, write_key: k, origins: [nonsense]}]\n"
    found = faults(sources + integration(sources="[web-shop, app]"))
    assert set(found) == {"sources[0].origins[0]", "integrations[0].sources[1]"}, "a source with a fault is there"
    assert found["integrations[0].sources[1]"].remedy == "accepted: web-shop"


def test_no_source_at_all_is_no_way_to_say_all(faults: Faults) -> None:
    assert "integrations[0].sources" in faults(integration(sources="[]"))


def test_an_unknown_vendor_is_named_with_those_there_are(faults: Faults) -> None:
    found = faults(integration(vendor="postcrad"))
    assert found["integrations[0].vendor"].remedy == "did you mean postcard? accepted: postcard"


def test_an_event_that_the_vendor_does_not_know_cannot_be_enabled(faults: Faults) -> None:
    events = "{events: {Order Complete: {enabled: true}, Anything Else: {enabled: false}}}"
    (fault,) = faults(integration(mapping=events)).values()
    assert fault.path == 'integrations[0].mapping.events["Order Complete"]'
    assert fault.remedy == "did you mean Order Completed? accepted: Order Completed, Product Viewed"


# Addresses


def test_unknown_endpoints_are_refused(faults: Faults) -> None:
    found = faults(integration(endpoints='{card: "https://a.example"}'))
    assert found["integrations[0].endpoints.card"].remedy == "did you mean cards? accepted: cards, returns"


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:9090/x", "http://localhost/x", "http://[::1]:1/x", "https://a.example"]
)
def test_endpoints_that_are_accepted(vendors: dict[str, AnyVendor], url: str) -> None:
    (cards,) = parse(integration(endpoints=f'{{cards: "{url}"}}'), {}, vendors).integrations
    assert cards.endpoints == {"cards": url}


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("http://10.0.0.1/x", '"http://10.0.0.1/x" is not encrypted'),
        ("http://localhost.evil.example/", '"http://localhost.evil.example/" is not encrypted'),
        ("https://user:hunter2@a.example", "the URL holds a user name or a password"),
        ("ftp://a.example", '"ftp://a.example" is not a whole URL'),
        ("a.example/x", '"a.example/x" is not a whole URL'),
        ("https://a.example:99999", '"https://a.example:99999" is not a whole URL'),
    ],
)
def test_endpoints_that_are_refused(faults: Faults, url: str, message: str) -> None:
    found = faults(integration(endpoints=f'{{cards: "{url}"}}'))
    assert found["integrations[0].endpoints.cards"].message == message


def test_production_needs_the_addresses_that_the_vendor_does_not_publish(faults: Faults) -> None:
    found = faults(integration(environment="production"))
    assert found["integrations[0].endpoints.returns"].remedy == "give the URL you got from the vendor"


@pytest.mark.parametrize(
    ("origin", "remedy"),
    [
        ("https://Shop.Example/", "write https://shop.example"),
        ("https://shop.example:443", "write https://shop.example"),
        ("https://shop.example/de", "write https://shop.example"),
        ("https://käse.example", "write https://xn--kse-qla.example"),
        ("https://*.shop.example", "name each origin by itself"),
        ("shop.example", "write it like https://shop.example"),
    ],
)
def test_origins_are_written_as_browsers_send_them(faults: Faults, origin: str, remedy: str) -> None:
    found = faults(f'sources: [{{key: web, write_key: k, origins: ["{origin}"]}}]')
    assert found["sources[0].origins[0]"].remedy == remedy


HOSTS = {"shop.test": ["127.0.0.1"], "www.shop.test": ["::1", "127.0.0.1"], "both.test": ["127.0.0.1", "192.0.2.7"]}
"""As a developer's hosts file may have them."""


@pytest.fixture
def hosts(monkeypatch: pytest.MonkeyPatch) -> None:
    def look_up(host: str, port: object) -> list[tuple[int, int, int, str, tuple[str, int]]]:
        if host not in HOSTS:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return [(2, 1, 6, "", (address, 0)) for address in HOSTS[host]]

    monkeypatch.setattr(socket, "getaddrinfo", look_up)


@pytest.mark.parametrize(
    "host",
    ["localhost", "127.0.0.1", "127.0.1.1", "[::1]", "shop.localhost", "a.b.localhost", "shop.test", "www.shop.test"],
)
def test_pages_of_this_machine_need_no_encryption(hosts: None, vendors: dict[str, AnyVendor], host: str) -> None:
    for port in ("", ":3000"):
        text = f'sources: [{{key: web, write_key: k, origins: ["http://{host}{port}"]}}]'
        assert parse(text, {}, vendors).sources[0].origins == (f"http://{host}{port}",)


@pytest.mark.parametrize(
    "host", ["shop.example", "both.test", "192.0.2.7", "localhost.example", "xlocalhost", "[2001:db8::1]"]
)
def test_pages_elsewhere_do(hosts: None, faults: Faults, host: str) -> None:
    found = faults(f'sources: [{{key: web, write_key: k, origins: ["http://{host}:3000"]}}]')
    fault = found["sources[0].origins[0]"]
    assert fault.message == f'"http://{host}:3000" is not encrypted, and not on this machine'
    assert fault.remedy == (
        "use https://; http:// is accepted for localhost, *.localhost, 127.0.0.1, [::1] and names that lead to this"
        f" machine, as the line `127.0.0.1 {host}` in the hosts file makes one"
    )


@pytest.mark.parametrize("proxy", ["10.0.0.1/8", "10.0.0.256", "proxy.example", ""])
def test_proxies_are_addresses_or_ranges(faults: Faults, proxy: str) -> None:
    assert (
        faults(f'trusted_proxies: ["{proxy}"]')["trusted_proxies[0]"].remedy == "write it like 10.0.0.1 or 10.0.0.0/8"
    )


# The environment, and secrets


def test_a_variable_that_is_not_set_is_named(faults: Faults) -> None:
    (fault,) = faults("sources: [{key: web, write_key: ${WEB_KEY}}]").values()
    assert fault.path == "sources[0].write_key"
    assert fault.message == "the environment variable WEB_KEY is not set"


def test_a_reference_with_more_than_a_name_is_refused(faults: Faults) -> None:
    assert "sources[0].write_key" in faults('sources: [{key: web, write_key: "${WEB_KEY:-none}"}]')


def test_values_from_the_environment_show_as_their_reference(vendors: dict[str, AnyVendor]) -> None:
    text = """
    sources: [{key: ${S}, write_key: "${S} ${S}", origins: ["https://${S}/"], home_urls: ["${S}"]}]
    integrations:
      - key: c
        vendor: ${S}
        endpoints: {cards: "http://${S}"}
        delivery: {timeout: ${S}, concurrency: ${S}}
        consent: {basis: ${S}}
      - {key: d, vendor: postcard, settings: {account: ${S}, api_key: 5, paper: ${S}}, sources: ["${S}!"]}
    trusted_proxies: ["${S}"]
    """
    with pytest.raises(ConfigError) as caught:
        parse(text, {"S": "Hunter2"}, vendors)
    assert len(caught.value.faults) >= 12
    assert "Hunter2" not in str(caught.value)
    assert "the value of ${S} can't be a key" in str(caught.value)


def test_a_secret_is_not_shown_where_it_is_refused(faults: Faults) -> None:
    found = faults(
        'sources: [{key: web, write_key: "hun ter2"}]\n' + integration(settings='{account: "1", api_key: [x]}')
    )
    assert "hun ter2" not in str(found["sources[0].write_key"])
    assert "4711" not in str(faults("sources: [{key: web, write_key: 4711}]")["sources[0].write_key"])
    assert found["integrations[0].settings.api_key"].message == "this value is not accepted here"


# The file itself


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("sources:\n  - {key: web", 2),
        ("sources:\n\t- key: web", 2),
        ("a: b: c", 1),
        ("sources: *nowhere", 1),
        ("sources: []\n---\nsources: []", 2),
    ],
)
def test_a_syntax_error_says_where(faults: Faults, text: str, line: int) -> None:
    (fault,) = faults(text).values()
    assert fault.line == line
    assert fault.path.startswith("column ")
    assert fault.message.startswith("this is not YAML: ")


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("log: {max_age: 1d}\nlog: {max_age: 2d}", "log"),
        ("log: {max_age: 1d, max_age: 2d}", "log.max_age"),
        ("- a list", "(the whole file)"),
        ("a text", "(the whole file)"),
        ("[key]: 1", "(the whole file)"),
        ("log: &log {max_age: *log}", "log.max_age"),
        ("log: {max_age: !!python/name:os.system x}", "log.max_age"),
        ("destinations: []", "destinations"),
        ("log: 5", "log"),
        ("sources: {web: 1}", "sources"),
    ],
)
def test_a_shape_that_is_no_configuration(faults: Faults, text: str, path: str) -> None:
    assert path in faults(text)


def test_a_file_that_is_not_there_or_not_text(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="can't be read"):
        load(tmp_path / "nowhere.yaml")
    (tmp_path / "latin.yaml").write_bytes(b"sources: \xe9")
    with pytest.raises(ConfigError, match="byte 10 is not UTF-8"):
        load(tmp_path / "latin.yaml")


SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
VALUES = st.recursive(
    SCALARS | st.sampled_from(["${X}", "*", "15m", "https://a.example"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@given(data=st.data())
def test_no_value_anywhere_brings_the_reader_down(data: st.DataObject) -> None:
    tree: Any = yaml.safe_load(example())
    node, value = tree, data.draw(VALUES)
    while True:
        key = data.draw(st.sampled_from(list(node) if isinstance(node, dict) else list(range(len(node)))))
        if not isinstance(node[key], (dict, list)) or not node[key] or data.draw(st.booleans()):
            node[key] = value
            break
        node = node[key]
    with contextlib.suppress(ConfigError):
        parse(yaml.safe_dump(tree, allow_unicode=True), {})
