"""What a `firsthand.yaml` can say, and what becomes of it."""

from pathlib import Path

import pytest

from firsthand.config import (
    Config,
    Consent,
    Delivery,
    Integration,
    Ledger,
    Log,
    Process,
    Source,
    example,
    integration_from_snapshot,
    integration_snapshot,
    load,
    parse,
)
from firsthand.vendors.base import AnyVendor

Vendors = dict[str, AnyVendor]

WHOLE = """
sources:
  - {key: web-shop, name: Web shop, write_key: ${WEB_WRITE_KEY}, origins: [https://shop.example]}
  - key: app
    write_key: app-key
    home_urls: ["https://shop.example/de/"]
    rate_per_second: 50
integrations:
  - key: cards
    vendor: postcard
    environment: production
    sources: [web-shop]
    settings: {account: "00123", max_age_online: 15m, pause: 500ms}
    endpoints: {returns: "https://returns.example/v1"}
    consent: {basis: tcf, on_refusal: anonymise, purposes: [1, 3], hold: 5m}
    delivery: {concurrency: 8, rate_per_second: 2.5, timeout: 3s, max_age: 48h, max_attempts: 10}
    mapping:
      default: disabled
      events:
        Order Completed: {enabled: true}
trusted_proxies: [10.0.0.0/8, "::1"]
log: {max_bytes: 10GB, max_age: 2d}
ledger: {max_age: 90d}
"""


def test_a_whole_file(vendors: Vendors) -> None:
    config = parse(WHOLE, {"WEB_WRITE_KEY": "k1"}, vendors)

    web, app = config.sources
    assert web == Source(key="web-shop", name="Web shop", write_key="k1", origins=("https://shop.example",))
    assert (app.name, app.home_urls, app.rate_per_second) == ("app", ("https://shop.example/de/",), 50.0)

    (cards,) = config.integrations
    assert (cards.settings.account, cards.settings.max_age_online, cards.settings.pause) == ("00123", 900.0, 0.5)
    assert (cards.environment, cards.sources) == ("production", ("web-shop",))
    assert cards.endpoints == {"returns": "https://returns.example/v1"}
    assert cards.consent == Consent(basis="tcf", on_refusal="anonymise", purposes=(1, 3), hold=300.0)
    assert cards.delivery == Delivery(
        concurrency=8, rate_per_second=2.5, timeout=3.0, max_age=172_800.0, max_attempts=10
    )
    assert cards.mapping.takes("Order Completed")
    assert not cards.mapping.takes("Product Viewed")

    assert config.process == Process(
        trusted_proxies=("10.0.0.0/8", "::1"),
        log=Log(max_bytes=10_000_000_000, max_age=172_800.0),
        ledger=Ledger(max_age=7_776_000.0),
    )


def test_what_is_left_out_has_its_default(vendors: Vendors) -> None:
    text = 'integrations: [{key: cards, vendor: postcard, settings: {account: "1"}}]'
    (cards,) = parse(text, {}, vendors).integrations
    assert (cards.enabled, cards.environment, cards.endpoints) == (True, "sandbox", {})
    assert cards.takes_source("any source at all")
    assert cards.mapping.takes("Any Event")
    assert cards.delivery == Delivery(concurrency=32, timeout=10.0, max_age=86_400.0, max_attempts=100)


def test_omitted_consent_is_remembered_as_omitted(vendors: Vendors) -> None:
    text = 'integrations: [{key: cards, vendor: postcard, settings: {account: "1"}CONSENT}]'
    omitted = parse(text.replace("CONSENT", ""), {}, vendors).integrations[0]
    said = parse(text.replace("CONSENT", ", consent: {basis: none}"), {}, vendors).integrations[0]
    assert omitted.consent is None
    assert said.consent is not None
    assert omitted.consent_rule == said.consent_rule


def test_an_empty_file_is_a_gateway_without_sources(vendors: Vendors) -> None:
    for text in ("", "# nothing yet\n"):
        config = parse(text, {}, vendors)
        assert (config.sources, config.integrations, config.process) == ((), (), Process())


def test_the_environment_fills_texts_numbers_and_switches(vendors: Vendors) -> None:
    text = """
    sources: [{key: web, write_key: "pre-${KEY}-post"}]
    integrations:
      - key: cards
        vendor: postcard
        enabled: ${ON}
        settings: {account: ${ACCOUNT}, max_age_online: ${AGE}}
        delivery: {concurrency: ${COUNT}}
    """
    env = {"KEY": "s3cret", "ON": "false", "ACCOUNT": "0042", "AGE": "2h", "COUNT": "7"}
    config = parse(text, env, vendors)
    (cards,) = config.integrations
    assert config.sources[0].write_key == "pre-s3cret-post"
    assert type(config.sources[0].write_key) is str
    assert cards.enabled is False
    assert (cards.settings.account, cards.settings.max_age_online) == ("0042", 7200.0)
    assert cards.delivery.concurrency == 7


def test_a_value_from_the_environment_is_never_read_as_yaml(vendors: Vendors) -> None:
    config = parse("sources: [{key: web, write_key: ${KEY}}]", {"KEY": "x,name=${KEY}}]#"}, vendors)
    assert config.sources[0].write_key == "x,name=${KEY}}]#"


def test_anchors_and_merges_spare_repetition(vendors: Vendors) -> None:
    text = """
    integrations:
      - &first
        key: first
        vendor: postcard
        settings: {account: "1"}
        delivery: &slow {concurrency: 1, timeout: 60s}
      - {<<: *first, key: second, delivery: {<<: *slow, concurrency: 2}}
    """
    first, second = parse(text, {}, vendors).integrations
    assert (second.key, second.settings) == ("second", first.settings)
    assert (second.delivery.concurrency, second.delivery.timeout) == (2, 60.0)


@pytest.mark.parametrize("word", ["no", "on", "2026-11-22", "10:30", "0123"])
def test_words_that_older_yaml_reads_as_something_else_are_text(vendors: Vendors, word: str) -> None:
    assert parse(f"sources: [{{key: web, name: {word}, write_key: k}}]", {}, vendors).sources[0].name == word


def test_a_source_never_shows_its_write_key() -> None:
    source = Source(key="web", write_key="s3cret")
    assert "s3cret" not in f"{source} {source!r} {Config(sources=(source,))}"


def test_a_file_is_loaded_by_its_path(tmp_path: Path, vendors: Vendors) -> None:
    path = tmp_path / "firsthand.yaml"
    path.write_text("sources: [{key: web, name: Straße, write_key: k}]", encoding="utf-8")
    assert load(path, {}, vendors).sources[0].name == "Straße"


def test_the_example_works() -> None:
    config = parse(example(), {})
    assert [source.key for source in config.sources] == ["web-shop"]
    assert [(one.vendor, one.environment) for one in config.integrations] == [("criteo-s2s", "sandbox")]


def test_a_snapshot_is_canonical_and_whole(vendors: Vendors) -> None:
    (cards,) = parse(WHOLE, {"WEB_WRITE_KEY": "k1"}, vendors).integrations
    snapshot = integration_snapshot(cards)
    assert integration_from_snapshot(snapshot, vendors) == cards
    assert integration_snapshot(integration_from_snapshot(snapshot, vendors)) == snapshot
    assert b'"stamps":1' in snapshot, "defaults are written out, since a later release may change them"


def test_the_order_of_keys_does_not_change_a_snapshot(vendors: Vendors) -> None:
    def snapshot(settings: str, events: str) -> bytes:
        text = (
            f"integrations: [{{vendor: postcard, key: c, settings: {{{settings}}}, mapping: {{events: {{{events}}}}}}}]"
        )
        integration: Integration = parse(text, {}, vendors).integrations[0]
        return integration_snapshot(integration)

    one = snapshot('account: "1", stamps: 2', "Order Completed: {}, Product Viewed: {}")
    other = snapshot('stamps: 2, account: "1"', "Product Viewed: {}, Order Completed: {}")
    assert one == other
