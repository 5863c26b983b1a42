"""What was applied last is remembered: what others change since is told, and references find their way back."""

from collections.abc import Callable

import msgspec
import pytest
import sqlalchemy as sa
from tests.state.conftest import VENDORS

from firsthand.config import Config, ConfigFile, canonical_json, integration_snapshot, parse
from firsthand.config.export import export
from firsthand.state.applied import LastApplied
from firsthand.state.changes import Change, Field
from firsthand.state.store import State
from firsthand.state.tables import integrations, revisions, sources

Configure = Callable[..., Config]

FILE = """
sources:
  - {key: web-shop, write_key: "${WEB_WRITE_KEY}", name: Shop}
  - {key: app, write_key: key-two}
integrations:
  - {key: cards, vendor: postcard, settings: {account: "${ACCOUNT}"}}
"""
ENV = {"WEB_WRITE_KEY": "key-one", "ACCOUNT": "1"}


@pytest.fixture
def file() -> ConfigFile:
    return parse(FILE, ENV, VENDORS)


def by_other_means(state: State, *statements: sa.Executable) -> None:
    """As somebody would change it who does not apply a file."""
    with state._database.writing() as connection:
        for statement in statements:
            connection.execute(statement)


def renamed(state: State, key: str, **fields: object) -> sa.Executable:
    source = next(source for source in state.sources() if source.key == key)
    config = canonical_json(msgspec.structs.replace(source, **fields)).decode()
    return sources.update().where(sources.c.key == key).values(config=config)


def revised(state: State, account: str) -> list[sa.Executable]:
    """The next revision of `cards`, made live."""
    live = next(live for live in state.integrations() if live.integration.key == "cards")
    settings = msgspec.structs.replace(live.integration.settings, account=account)
    config = integration_snapshot(msgspec.structs.replace(live.integration, settings=settings)).decode()
    values = {"integration": "cards", "number": live.revision + 1, "config": config, "vendor_version": "1"}
    update = integrations.update().where(integrations.c.key == "cards").values(live_revision=live.revision + 1)
    return [revisions.insert().values(created_at="2026-11-22T12:00:00.000Z", **values), update]


def planned(state: State, config: Config) -> list[Change]:
    return [change for change in state.plan(config) if change.kind != "unchanged"]


def test_which_file_was_applied_last(state: State, file: ConfigFile) -> None:
    assert state.last_applied() is None
    state.apply(file)
    assert state.last_applied() == LastApplied("firsthand.yaml", file.sha256, "2026-11-22T12:00:00.000Z")


def test_what_is_new_in_the_file_is_no_drift(state: State, file: ConfigFile) -> None:
    state.apply(file)
    (change,) = planned(state, parse(FILE.replace("Shop", "Store"), ENV, VENDORS))
    assert change.fields == (Field(path="name", old="Shop", new="Store"),)


def test_a_field_that_others_changed_is(state: State, file: ConfigFile) -> None:
    state.apply(file)
    by_other_means(state, renamed(state, "web-shop", name="Boutique"), *revised(state, "7"))
    source, cards = planned(state, file)
    assert source.fields == (Field(path="name", old="Boutique", new="Shop", drift=True),)
    assert cards.revision == 3, "the one that others made stays"
    (account,) = cards.fields
    assert (account.old, account.new, account.drift) == ("7", "${ACCOUNT}", True)

    state.apply(file)
    assert planned(state, file) == []
    assert state.integrations()[0].integration.settings.account == "1"


def test_what_others_removed_and_added_is(state: State, file: ConfigFile) -> None:
    state.apply(file)
    more = {"key": "tills", "config": canonical_json(state.sources()[0]).decode(), "updated_at": "now"}
    gone = sources.update().where(sources.c.key == "app").values(removed_at="now")
    by_other_means(state, gone, sources.insert().values(**more))
    assert [(change.kind, change.what, change.drift) for change in planned(state, file)] == [
        ("added", "source app", True),
        ("removed", "source tills", True),
    ]


def test_going_back_to_an_older_revision_is_drift_and_makes_a_new_one(state: State, file: ConfigFile) -> None:
    for account in ("1", "2"):
        state.apply(parse(FILE, ENV | {"ACCOUNT": account}, VENDORS))
    by_other_means(state, integrations.update().where(integrations.c.key == "cards").values(live_revision=1))
    (change,) = state.apply(parse(FILE, ENV | {"ACCOUNT": "2"}, VENDORS))[2:3]
    assert (change.revision, change.fields[0].drift) == (3, True)


def test_values_from_the_environment_show_as_their_reference(state: State, file: ConfigFile) -> None:
    state.apply(file)
    other = parse(FILE, {"WEB_WRITE_KEY": "key-three", "ACCOUNT": "s3cret"}, VENDORS)
    changes = planned(state, other)
    assert [change.detail for change in changes] == [
        ("write_key: ${WEB_WRITE_KEY} → ${WEB_WRITE_KEY}",),
        ("settings.account: ${ACCOUNT} → ${ACCOUNT}",),
    ]
    assert "s3cret" not in repr(changes)


def test_another_way_to_write_the_same_value_is_no_change(state: State, file: ConfigFile) -> None:
    state.apply(file)
    written_out = FILE.replace('"${ACCOUNT}"', '"1"')
    assert planned(state, parse(written_out, ENV, VENDORS)) == []
    state.apply(parse(written_out, ENV, VENDORS))
    assert list(state.references()) == [("sources", "web-shop", "write_key")]


def test_an_export_has_the_references_of_the_file(state: State, file: ConfigFile) -> None:
    state.apply(file)
    text = export(state.configuration(), state.references()).text
    assert "write_key: ${WEB_WRITE_KEY}" in text
    assert "account: ${ACCOUNT}" in text
    assert planned(state, parse(text, ENV | {"APP_WRITE_KEY": "key-two"}, VENDORS)) == []


def test_what_others_changed_does_not_come_from_the_environment_any_more(state: State, file: ConfigFile) -> None:
    state.apply(file)
    by_other_means(state, renamed(state, "web-shop", write_key="key-nine"), *revised(state, "7"))
    assert state.references() == {}
    text = export(state.configuration(), state.references()).text
    assert 'account: "7"' in text
    assert planned(state, parse(text, {"WEB_SHOP_WRITE_KEY": "key-nine", "APP_WRITE_KEY": "key-two"}, VENDORS)) == []


def test_a_plan_before_the_first_apply(file: ConfigFile) -> None:
    state = State.empty(VENDORS)
    assert [change.kind for change in state.plan(file)] == ["added", "added", "added", "unchanged"]
    assert (state.last_applied(), state.configuration()) == (None, Config())


# -- the version, which processes that run watch -----------------------------------------------------------------------


def test_the_version_changes_with_the_configuration_only(state: State, file: ConfigFile) -> None:
    versions = [state.version()]
    state.apply(file)
    versions.append(state.version())
    state.apply(parse(FILE + "# the same, in other words", ENV, VENDORS))
    state.update_replay(state.queue_replay("cards", {}), "running", {"done": 1})
    assert state.version() == versions[-1], "neither another text nor a replay is another configuration"
    for text in (FILE.replace("Shop", "Store"), FILE + "log: {max_age: 1d}", FILE.replace("cards", "notes")):
        state.apply(parse(text, ENV, VENDORS))
        versions.append(state.version())
    assert len(set(versions)) == len(versions)

    state.apply(parse(FILE.replace("cards", "notes"), ENV, VENDORS))
    assert state.version() == versions[-1]


def test_a_change_by_other_means_is_another_version(state: State, file: ConfigFile) -> None:
    state.apply(file)
    before = state.version()
    by_other_means(state, *revised(state, "7"))
    assert state.version() != before
