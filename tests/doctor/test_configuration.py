"""What is wrong with a set-up, and how that is said."""

import fcntl
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.doctor.conftest import KEY, config, criteo, found

from firsthand.config import example
from firsthand.doctor import configuration
from firsthand.doctor.context import Context

Make = Callable[..., Context]


def test_nothing_at_all_says_how_to_begin(context: Make) -> None:
    (finding,) = configuration.file(context())
    assert finding.severity == "error"
    assert finding.remedy == "`firsthand init` writes a firsthand.yaml to begin with; or name a file with --config"


def test_a_file_that_can_be_used(context: Make) -> None:
    assert found(configuration.file(context(config(criteo())))) == [("ok", "firsthand.yaml", "1 source, 1 integration")]


def test_each_fault_of_a_file_with_its_remedy(context: Make) -> None:
    findings = list(configuration.file(context('sources: [{key: Web, write_key: "${WEB_KEY}"}]')))
    assert [(finding.severity, finding.found) for finding in findings] == [
        ("error", "line 1, sources[0].write_key: the environment variable WEB_KEY is not set"),
        ("error", 'line 1, sources[0].key: "Web" can\'t be a key'),
    ]
    assert findings[0].remedy == "set WEB_KEY, or write the value here"


def test_a_state_that_cannot_be_read_is_said_in_its_own_words(context: Make, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "state.db").write_bytes(b"not a database" * 100)
    first, *_ = configuration.file(context(config()))
    assert first.found.endswith("file is not a database")
    assert first.remedy is not None
    assert first.remedy.startswith("check that it is the file of a Firsthand")


def test_what_runs_is_what_the_file_says(context: Make, tmp_path: Path) -> None:
    assert found(configuration.applied(context(config(criteo()))))[0][0] == "warning", "nothing is applied yet"
    stopped = context(config(criteo()), applied=True)
    assert found(configuration.applied(stopped)) == [
        ("ok", "applied", "as the file says, for when a gateway runs here: none does now")
    ]
    with (tmp_path / "data" / "deliver.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        running = context(config(criteo()), applied=True)
        assert found(configuration.applied(running)) == [("ok", "applied", "what runs is what the file says")]
    other = context(config(criteo(enabled=False)))
    assert found(configuration.applied(other)) == [
        ("warning", "applied", "not as the file says: integration criteo changed")
    ]


def test_secrets_belong_in_the_environment(context: Make) -> None:
    inside = found(configuration.secrets(context(config())))
    assert inside == [("warning", "write_key of web-shop", "stands in the file itself")]
    outside = config(sources=[{"key": "web-shop", "write_key": "${KEY}", "signing_secret": "${SIGN}"}])
    env = {"KEY": KEY, "SIGN": KEY[::-1]}
    assert found(configuration.secrets(context(outside, env=env))) == [("ok", "secrets", "2 from the environment")]


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("replace-this-write-key", "is a placeholder, which anybody knows"),
        ("changeme", "is a placeholder, which anybody knows"),
        ("web-shop", "is a placeholder, which anybody knows"),
        ("demo-web-key", "is a placeholder, which anybody knows"),
        ("hunter2", "can be guessed: 7 characters, 7 different ones"),
        ("abababababababababababab", "can be guessed: 24 characters, 2 different ones"),
        (KEY, "none can be guessed, none is shared"),
    ],
)
def test_write_keys(context: Make, key: str, expected: str) -> None:
    source = [{"key": "web-shop", "write_key": key}]
    ((severity, _, said),) = found(configuration.write_keys(context(config(sources=source))))
    assert (severity, said) == ("ok" if key == KEY else "warning", expected)


def test_a_secret_that_protects_two_things(context: Make) -> None:
    sources = [{"key": "web-shop", "write_key": KEY, "signing_secret": KEY}]
    assert found(configuration.write_keys(context(config(sources=sources)))) == [
        ("warning", "write_key of web-shop", "is also the signing_secret of web-shop"),
        ("warning", "signing_secret of web-shop", "is also the write_key of web-shop"),
    ]


def test_a_placeholder_is_an_error_where_it_counts(context: Make) -> None:
    real = config(criteo(environment="production"), sources=[{"key": "web-shop", "write_key": "changeme"}])
    assert found(configuration.write_keys(context(real)))[0][0] == "error"
    assert found(configuration.write_keys(context(example())))[0][0] == "warning"
    assert found(configuration.write_keys(context(example(), production=True)))[0][0] == "error"


def test_every_source_goes_somewhere(context: Make) -> None:
    sources = [{"key": "web-shop", "write_key": KEY}, {"key": "tills", "write_key": KEY[::-1]}]
    assert found(configuration.flow(context(config(criteo(sources=["web-shop"]), sources=sources)))) == [
        ("warning", "tills", "is taken by no enabled integration")
    ]
    assert found(configuration.flow(context(config(criteo(enabled=False))))) == [
        ("ok", "criteo", "is disabled: its events are counted and can be replayed"),
        ("warning", "web-shop", "is taken by no enabled integration"),
    ]
    assert found(configuration.flow(context(config(criteo(), sources=[])))) == [
        ("error", "criteo", "takes no source that is there: nothing is sent")
    ]


def test_consent_that_nobody_decided_on(context: Make) -> None:
    undecided = criteo()
    del undecided["consent"]
    ((severity, _, said),) = found(configuration.consent(context(config(undecided))))
    assert severity == "warning"
    assert said == "no basis is given: all is sent to it, but for events that carry a refusal themselves"
    decided = criteo(consent={"basis": "categories", "categories": ["ads"]})
    assert found(configuration.consent(context(config(decided)))) == [("ok", "criteo", "basis categories: ads")]


def test_placeholders_in_production(context: Make) -> None:
    settings = {"partner_id": "12345", "mapping_key": "123"}
    assert found(configuration.production(context(config(criteo(settings=settings))))) == [], "sandbox may have them"
    real = config(criteo(settings=settings, environment="production"))
    assert found(configuration.production(context(real))) == [
        ("error", "criteo partner_id", "is a placeholder"),
        ("error", "criteo mapping_key", "is a placeholder"),
    ]
    assert found(configuration.production(context(config(criteo()), production=True))) == [
        ("error", "criteo", "is in sandbox: it sends to the emulator, and nothing to the vendor")
    ]


def test_no_limit_of_age(context: Make) -> None:
    settings = {"partner_id": "71234", "mapping_key": "871", "max_age_offline": None}
    ((severity, title, _),) = found(configuration.ages(context(config(criteo(settings=settings)))))
    assert (severity, title) == ("warning", "criteo max_age_offline")
