"""Applying a configuration: what changes, what is kept, and what is told."""

from collections.abc import Callable

import msgspec
import pytest

from firsthand.config import Config, ConfigError
from firsthand.state.changes import Change, Field
from firsthand.state.database import StateError
from firsthand.state.store import State
from firsthand.vendors.base import AnyVendor, Built, Vendor

Configure = Callable[..., Config]
Open = Callable[..., State]


def changed(changes: list[Change]) -> list[Change]:
    return [change for change in changes if change.kind != "unchanged"]


def test_the_first_apply_adds_everything(state: State, config: Configure) -> None:
    assert state.apply(config()) == [
        Change("added", "source web-shop"),
        Change("added", "source app"),
        Change("added", "integration cards", revision=1),
        Change("added", "integration notes", revision=1),
        Change("unchanged", "gateway"),
    ]
    assert sorted(source.key for source in config().sources) == [source.key for source in state.sources()]
    assert {live.integration.key: live.integration for live in state.integrations()} == {
        integration.key: integration for integration in config().integrations
    }


def test_applying_the_same_again_changes_nothing(state: State, config: Configure) -> None:
    state.apply(config())
    again = state.apply(config())
    assert changed(again) == []
    assert [change.what for change in again][:2] == ["source web-shop", "source app"]
    assert [live.revision for live in state.integrations()] == [1, 1]


def test_a_changed_integration_gets_the_next_revision_and_the_old_one_stays(state: State, config: Configure) -> None:
    state.apply(config())
    changes = state.apply(config(('account: "1"', 'account: "100"')))
    account = Field(path="settings.account", old="1", new="100")
    assert changed(changes) == [Change("changed", "integration cards", (account,), 2)]
    cards, notes = state.integrations()
    assert (cards.vendor, cards.revision, cards.integration.settings.account) == ("postcard", 2, "100")
    assert notes.revision == 1
    assert state.revision("cards", 1).settings.account == "1"


def test_a_change_reads_well(state: State, config: Configure) -> None:
    state.apply(config())
    (change,) = changed(state.apply(config(('account: "1"', 'account: "100"'))))
    assert str(change) == 'changed integration cards (revision 2)\n    settings.account: "1" → "100"'
    assert str(Change("removed", "source app")) == "removed source app"


def test_going_back_is_a_revision_too(state: State, config: Configure) -> None:
    for account in ("1", "100", "1"):
        state.apply(config(('account: "1"', f'account: "{account}"')))
    assert state.integrations()[0].revision == 3


def test_secrets_are_masked_in_what_changed(state: State, config: Configure) -> None:
    state.apply(config())
    (change,) = changed(state.apply(config(("key-one", "key-three"))))
    assert (change.kind, change.what, change.detail) == ("changed", "source web-shop", ("write_key: *** → ***",))
    assert "key-" not in repr(change)
    assert state.sources()[1].write_key == "key-three"


def test_every_kind_of_field_is_told(state: State, config: Configure) -> None:
    state.apply(config())
    more = 'account: "1"}, consent: {basis: tcf}, delivery: {timeout: 3s}, mapping: {events: {Order Completed: {}}'
    (change,) = changed(state.apply(config(('account: "1"', more))))
    assert change.detail == (
        'delivery.timeout: "10s" → "3s"',
        'consent.basis: nothing → "tcf"',
        'consent.on_refusal: nothing → "suppress"',
        "consent.purposes: nothing → [1, 3, 4]",
        'consent.categories: nothing → ["marketing"]',
        'consent.hold: nothing → "15m"',
        'mapping.events["Order Completed"].enabled: nothing → true',
    )


def test_what_belongs_to_the_gateway_changes_too(state: State, config: Configure) -> None:
    state.apply(config())
    (change,) = changed(state.apply(config(("sources:\n", "log: {max_age: 1d}\nsources:\n"))))
    assert change == Change("changed", "gateway", (Field(path="log.max_age", old="7d", new="1d"),))
    assert state.process().log.max_age == 86_400.0


def test_the_removed_are_kept_and_come_back_where_they_were(state: State, config: Configure) -> None:
    state.apply(config(('account: "1"', 'account: "0"')))
    state.apply(config())
    assert changed(state.apply(Config())) == [
        Change("removed", "source app"),
        Change("removed", "source web-shop"),
        Change("removed", "integration cards"),
        Change("removed", "integration notes"),
    ]
    assert (state.sources(), state.integrations()) == ([], [])
    assert state.revision("cards", 2).settings.account == "1", "a trace from last month still finds it"
    assert changed(state.apply(Config())) == [], "what was removed before is no news"

    back = state.apply(config())
    assert Change("added", "integration cards", revision=2) in back
    assert Change("added", "source app") in back
    assert len(state.sources()) == 2


def test_a_plan_tells_the_same_and_changes_nothing(state: State, config: Configure) -> None:
    state.apply(config())
    other = config(('account: "1"', 'account: "100"'), ("key-one", "key-three"))
    planned = state.plan(other)
    assert state.integrations()[0].revision == 1
    assert planned == state.apply(other)


def test_the_vendor_of_an_integration_is_for_good(state: State, config: Configure) -> None:
    state.apply(config())
    with pytest.raises(ConfigError, match="cards was postcard and can't become telegram") as caught:
        state.apply(config(("vendor: postcard", "vendor: telegram"), ("key-one", "key-three")))
    assert caught.value.faults[0].path == "integrations[0].vendor"
    assert state.sources()[1].write_key == "key-one", "all or nothing"


def test_a_new_setting_with_a_default_makes_no_revision(open_state: Open, config: Configure) -> None:
    """An upgrade of a vendor's module must not look like a change of the user's."""

    class More(msgspec.Struct, frozen=True):
        account: str
        paper: str = "plain"
        stamps: int = 1

    open_state().apply(config())
    upgraded = open_state(postcard=replaced(More))
    same = config()
    cards = msgspec.structs.replace(same.integrations[0], settings=More(account="1"))
    changes = upgraded.apply(msgspec.structs.replace(same, integrations=(cards, same.integrations[1])))
    assert changed(changes) == []


def test_a_changed_default_makes_a_revision(open_state: Open, config: Configure) -> None:
    class Other(msgspec.Struct, frozen=True):
        account: str
        paper: str = "glossy"

    open_state().apply(config())
    upgraded = open_state(postcard=replaced(Other))
    same = config()
    cards = msgspec.structs.replace(same.integrations[0], settings=Other(account="1"))
    (change,) = changed(upgraded.apply(msgspec.structs.replace(same, integrations=(cards, same.integrations[1]))))
    assert change.detail == ('settings.paper: "plain" → "glossy"',)


def test_settings_that_do_not_fit_any_more_are_a_clear_error_and_a_new_revision(
    open_state: Open, config: Configure
) -> None:
    class Number(msgspec.Struct, frozen=True):
        account: int

    open_state().apply(config())
    upgraded = open_state(postcard=replaced(Number))
    with pytest.raises(StateError, match="revision 1 of the integration cards doesn't fit"):
        upgraded.integrations()
    same = config()
    cards = msgspec.structs.replace(same.integrations[0], settings=Number(account=1))
    (change,) = changed(upgraded.apply(msgspec.structs.replace(same, integrations=(cards, same.integrations[1]))))
    assert (change.kind, change.revision) == ("changed", 2)


def test_a_vendor_that_was_uninstalled_is_named(open_state: Open, config: Configure) -> None:
    state = open_state()
    state.apply(config())
    without = State(state._database, {}, lambda: 0.0)
    with pytest.raises(StateError, match="the vendor of the integration cards is not installed"):
        without.integrations()


def test_an_unknown_revision(state: State) -> None:
    with pytest.raises(StateError, match="no revision 7 of an integration cards"):
        state.revision("cards", 7)


def replaced(settings: type[msgspec.Struct]) -> AnyVendor:
    """The postcard vendor after an upgrade that changed its settings."""
    return Vendor(
        key="postcard",
        name="Postcard",
        category="Post",
        documentation="none",
        version="2",
        settings=settings,
        events={},
        build=lambda setup, inputs: Built([]),
        judge=lambda setup, request, answer: None,
        endpoints=lambda settings, emulator: {},
    )
