"""A configuration written out, and read again."""

from collections.abc import Mapping
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.config.conftest import VENDORS, PostcardSettings

from firsthand.config import (
    Config,
    Consent,
    Delivery,
    EventMapping,
    EventRule,
    Integration,
    Ledger,
    Log,
    Source,
    parse,
)
from firsthand.config.document import REFERENCE, Document
from firsthand.config.export import export
from firsthand.config.file import references_of
from firsthand.config.written import written

FILE = """
sources:
  - {key: web-shop, name: Web shop, write_key: "${WEB_WRITE_KEY}", origins: [https://shop.example, "https://${HOST}"]}
  - {key: app, write_key: app-key}
integrations:
  - key: cards
    vendor: postcard
    settings: {account: "00123", api_key: s3cret, max_age_online: 15m}
    delivery: {timeout: 2500ms}
log: {max_bytes: 20GB}
"""
ENV = {"WEB_WRITE_KEY": "key-of-the-web", "HOST": "b.example"}


def test_it_reads_as_a_person_would_write_it() -> None:
    config = parse(FILE, ENV, VENDORS)
    assert (
        export(config, dict(config.references)).text
        == """\
# Written by `firsthand export`. Give it to `firsthand plan` and `firsthand apply`.
#
# It takes these values from the environment:
#
#   WEB_WRITE_KEY  write_key of source web-shop
#   HOST           origins[1] of source web-shop
#   APP_WRITE_KEY  write_key of source app
#   CARDS_API_KEY  settings.api_key of integration cards

sources:
  - key: web-shop
    write_key: ${WEB_WRITE_KEY}
    name: Web shop
    origins: ['https://shop.example', 'https://${HOST}']
  - key: app
    write_key: ${APP_WRITE_KEY}
integrations:
  - key: cards
    vendor: postcard
    settings:
      account: "00123"
      api_key: ${CARDS_API_KEY}
      max_age_online: 15m
    environment: sandbox
    delivery: {timeout: 2500ms}
log: {max_bytes: 20GB}
"""
    )


def test_no_secret_is_in_it() -> None:
    text = export(parse(FILE, ENV, VENDORS), {}).text
    assert [secret for secret in ("key-of-the-web", "app-key", "s3cret") if secret in text] == []


def test_two_secrets_never_share_a_name() -> None:
    """`a` and `a-`: both would be A_WRITE_KEY."""
    config = Config(
        sources=(Source(key="a", write_key="1"), Source(key="a-", write_key="2"), Source(key="7", write_key="3"))
    )
    assert list(export(config, {}).variables) == ["A_WRITE_KEY", "A_WRITE_KEY_2", "_7_WRITE_KEY"]
    taken = {("sources", "7", "write_key"): "${A_WRITE_KEY}"}
    assert "A_WRITE_KEY_2" in export(config, taken).variables


def test_a_text_that_would_be_taken_for_a_reference_comes_from_the_environment() -> None:
    config = Config(sources=(Source(key="web", write_key="k", name="${NOT_A_REFERENCE}"),))
    written_out = export(config, {})
    assert "NOT_A_REFERENCE" not in written_out.text
    assert written_out.variables["WEB_NAME"] == "name of source web"


def test_nothing_at_all() -> None:
    text = export(Config(), {}).text
    assert yaml.safe_load(text) is None
    assert parse(text, {}, VENDORS).sources == ()


# -- the round trip --------------------------------------------------------------------------------------------------

confusing = ["no", "on", "null", "~", "1", "1.10", "1e5", "0x1F", "2026-11-22", "10:30", "<<", "=", "a: b", "- a", "#"]
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20) | st.sampled_from([*confusing, '"', "'", "\x85"])
# What stands in for a reference while a file is read can't be in a name.
names = texts.filter(lambda text: not set(text) & set("\ue000\ue001\ue002") and "${" not in text)
keys = st.from_regex(r"[a-z0-9][a-z0-9-]{0,8}", fullmatch=True)
seconds = st.floats(min_value=0.001, max_value=1e6) | st.integers(1, 100_000).map(float)


@st.composite
def configs(draw: st.DrawFn) -> Config:
    write_keys = st.from_regex(r"[!-9;-~]{1,30}", fullmatch=True)
    source_keys = draw(st.lists(keys, unique=True, max_size=3))
    secrets = draw(st.lists(write_keys, unique=True, min_size=3, max_size=3))
    sources = [
        Source(
            key=key,
            write_key=secret,
            name=draw(texts),
            origins=draw(st.sampled_from([(), ("https://a.example",), ("https://a.example", "http://localhost:1")])),
            rate_per_second=draw(st.none() | st.floats(min_value=0.01, max_value=1e9)),
        )
        for key, secret in zip(source_keys, secrets, strict=False)
    ]
    integrations = [
        Integration(
            key=key,
            vendor="postcard",
            settings=PostcardSettings(
                account=draw(st.from_regex("[0-9]{1,5}", fullmatch=True)),
                api_key=draw(texts),
                paper=draw(st.sampled_from(["plain", "glossy"])),
                max_age_online=draw(st.none() | seconds),
                pause=draw(seconds),
                stamps=draw(st.integers(-(10**9), 10**9)),
            ),
            enabled=draw(st.booleans()),
            sources=tuple(source_keys) if source_keys and draw(st.booleans()) else None,
            endpoints=draw(st.sampled_from([{}, {"cards": "https://cards.example/v1?a=b"}])),
            consent=draw(st.none() | st.builds(Consent, basis=st.sampled_from(["tcf", "none"]), hold=st.just(60.0))),
            delivery=Delivery(timeout=draw(st.floats(min_value=0.001, max_value=300)), max_age=draw(seconds)),
            mapping=EventMapping(events=draw(st.dictionaries(names, st.just(EventRule(enabled=False)), max_size=3))),
        )
        for key in draw(st.lists(keys, unique=True, max_size=2))
    ]
    return Config(
        sources=tuple(sources),
        integrations=tuple(integrations),
        trusted_proxies=draw(st.sampled_from([(), ("10.0.0.0/8", "::1")])),
        log=Log(max_bytes=draw(st.integers(1, 2**50))),
        ledger=Ledger(max_age=draw(seconds)),
    )


def environment(text: str, config: Config) -> Mapping[str, str]:
    """The values that a written file wants from the environment, as the one who wrote it has them."""

    class Anything(dict[str, str]):
        def __contains__(self, name: object) -> bool:
            return True

        def __missing__(self, name: str) -> str:
            return ""

    def plain(path: object, value: Any, secret: bool) -> Any:
        return value

    tree: Any = {"sources": config.sources, "integrations": config.integrations}
    values = {}
    for (kind, index, *path), reference in Document(text, Anything(), "export").references.items():
        value = written(tree[kind][index], plain)
        for step in path:
            value = value[step]
        found = REFERENCE.fullmatch(reference)
        assert found
        values[found[1]] = value
    return values


@settings(deadline=None, max_examples=100)
@given(configs())
def test_what_is_written_reads_back_as_it_was(config: Config) -> None:
    text = export(config, {}).text
    again = parse(text, environment(text, config), VENDORS)
    assert (again.sources, again.integrations, again.process) == (config.sources, config.integrations, config.process)
    assert export(again, dict(again.references)).text == text, "and writes the same again"


@pytest.mark.parametrize("place", [(), ("sources", "web-shop"), ("integrations", "cards")])
def test_references_by_their_part(place: tuple[str, ...]) -> None:
    found = references_of(parse(FILE, ENV, VENDORS).references, *place)
    expected = {("write_key",): "${WEB_WRITE_KEY}", ("origins", 1): "https://${HOST}"}
    assert found == (expected if place == ("sources", "web-shop") else {})
