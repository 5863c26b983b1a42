"""What is signed, encrypted and made for browsers: it comes back whole, or counts for nothing."""

import multiprocessing
import pickle
import traceback
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from firsthand.config.faults import ConfigError
from firsthand.secret import Secret, load
from firsthand.settings import Settings

SECRET = Secret(b"0" * 32)
OTHER = Secret(b"1" * 32)
tokens = st.text() | st.text("ABCwxyz019-_=", max_size=120)


@given(st.binary(max_size=300))
def test_what_was_signed_is_known_again(data: bytes) -> None:
    token = SECRET.sign("sync", data)
    assert SECRET.verify("sync", token) == data
    assert token == SECRET.sign("sync", data)
    assert token.isascii()
    assert token.replace("-", "").replace("_", "").isalnum()


@given(st.binary(max_size=300))
def test_what_was_encrypted_can_be_read_again(data: bytes) -> None:
    token = SECRET.encrypt("email", data)
    assert SECRET.decrypt("email", token) == data
    assert token != SECRET.encrypt("email", data)
    assert token.replace("-", "").replace("_", "").isalnum()


@given(st.binary(max_size=80))
def test_another_purpose_or_another_secret_does_not_count(data: bytes) -> None:
    signed, sealed = SECRET.sign("sync", data), SECRET.encrypt("sync", data)
    for secret, purpose in ((SECRET, "email"), (OTHER, "sync"), (SECRET, "")):
        assert secret.verify(purpose, signed) is None
        assert secret.decrypt(purpose, sealed) is None
    assert SECRET.decrypt("sync", signed) is None
    assert SECRET.verify("sync", sealed) is None


@given(tokens)
@example("")
@example("\ud800")
@example("é" * 50)
@example("A" * 1_000_001)
@example("A" * 43)
@example("====")
@example("\0")
def test_hostile_text_is_nothing(token: str) -> None:
    assert SECRET.verify("sync", token) is None
    assert SECRET.decrypt("sync", token) is None


@given(st.binary(max_size=40), st.data())
def test_one_character_more_or_less_or_changed_is_nothing(data: bytes, draw: st.DataObject) -> None:
    for make, read in ((SECRET.sign, SECRET.verify), (SECRET.encrypt, SECRET.decrypt)):
        token = make("sync", data)
        at = draw.draw(st.integers(0, len(token) - 1))
        character = draw.draw(
            st.sampled_from("ABCxyz09-_=.+/ ").filter(lambda one, at=at, token=token: one != token[at])
        )
        changed = token[:at] + character + token[at + 1 :]
        for wrong in (changed, token[:at] + token[at + 1 :], token + "=", token + "A", " " + token, token + "\n"):
            assert read("sync", wrong) is None


def test_the_last_bits_of_a_token_count_too() -> None:
    """base64 leaves bits over at the end, and decoders pass over them."""
    for make, read in ((SECRET.sign, SECRET.verify), (SECRET.encrypt, SECRET.decrypt)):
        token = make("sync", b"12")
        alike = [token[:-1] + last for last in "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"]
        assert [one for one in alike if read("sync", one) is not None] == [token]


@given(st.text(max_size=40), st.text(max_size=40))
@example("", "\ud800")
def test_an_id_is_one_secrets_for_one_purpose(about: str, other: str) -> None:
    made = SECRET.make_id("rsa", about)
    assert made.version == 4
    assert made == Secret(b"0" * 32).make_id("rsa", about)
    assert made not in (OTHER.make_id("rsa", about), SECRET.make_id("fh_sid", about))
    assert (made == SECRET.make_id("rsa", other)) is (about == other)


def test_the_tokens_of_today_are_those_of_tomorrow() -> None:
    """Cookies live for a year: a release that made other keys would end them all."""
    assert SECRET.sign("sync", b"data") == "dBaQvFeVnNLBLq38aWO7vD9-3BEMEhztDzQB6Ng6_FFkYXRh"
    assert SECRET.decrypt("email", "zo_Sy4XcuSv5nJc-ecUPrWZElHMU3oGxHcMbttYtxqTYglZ1BAZzohMaHik") == b"jane@example.com"
    assert str(SECRET.make_id("rsa", "1 visitor")) == "a507a4db-fdda-49fe-bb4b-5d9ef8806997"


def test_a_secret_shows_itself_nowhere() -> None:
    secret = Secret(b"the-root-of-all-keys-of-this-shop")
    secret.encrypt("sync", secret.sign("sync", b"").encode())
    assert "root" not in f"{secret} {secret!r} {[secret]} {traceback.format_exc()}"
    with pytest.raises(TypeError):
        pickle.dumps(secret)


# -- where it comes from ---------------------------------------------------------------------------------------------


def signs_alike(one: Secret, other: Secret) -> bool:
    return one.sign("p", b"d") == other.sign("p", b"d")


def test_the_first_start_makes_one_that_only_its_owner_reads(tmp_path: Path) -> None:
    settings = Settings(data=tmp_path / "new" / "data")
    made = load(settings)
    file = settings.data / "secret.key"
    assert file.stat().st_mode & 0o777 == 0o600
    assert [path.name for path in settings.data.iterdir()] == ["secret.key"]
    assert signs_alike(made, load(settings))
    assert not signs_alike(made, load(Settings(data=tmp_path / "other")))


def test_the_environments_wins(tmp_path: Path) -> None:
    load(Settings(data=tmp_path))
    given = Settings(data=tmp_path, secret_key="k" * 32)
    assert signs_alike(load(given), load(Settings(data=tmp_path / "elsewhere", secret_key="k" * 32)))
    assert not signs_alike(load(given), load(Settings(data=tmp_path)))
    assert not (tmp_path / "elsewhere").exists()


def _sign(data: Path, start: "multiprocessing.synchronize.Event", signed: "multiprocessing.Queue[str]") -> None:
    start.wait()
    signed.put(load(Settings(data=data)).sign("p", b"d"))


def test_processes_that_start_at_once_have_the_same(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    for round in range(5):
        start, signed = context.Event(), context.Queue()
        processes = [context.Process(target=_sign, args=(tmp_path / str(round), start, signed)) for _ in range(6)]
        for process in processes:
            process.start()
        start.set()
        assert len({signed.get(timeout=30) for _ in processes}) == 1
        for process in processes:
            process.join()
        assert [path.name for path in (tmp_path / str(round)).iterdir()] == ["secret.key"]


@pytest.mark.parametrize("text", [b"", b"short", b"\xff" * 64, b"0" * 63, b"0" * 64 + b"\n\n", b"0" * 1000])
def test_a_damaged_file_is_said_to_be_damaged(tmp_path: Path, text: bytes) -> None:
    (tmp_path / "secret.key").write_bytes(text)
    with pytest.raises(ConfigError, match="delete it: then a new one is made") as raised:
        load(Settings(data=tmp_path))
    assert "0000" not in str(raised.value)
