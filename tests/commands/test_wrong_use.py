"""What a newcomer gets wrong, and what the commands say to it: one line with the way out, never a traceback."""

from pathlib import Path

import pytest
from tests.commands.conftest import Firsthand
from tests.gateway import Emulator, Gateway, config, criteo, order, page, until


def test_the_version(firsthand: Firsthand) -> None:
    said = firsthand("--version")
    assert (said.exit_code, said.out.split()[0]) == (0, "firsthand")


def test_a_command_that_is_not_there(firsthand: Firsthand) -> None:
    said = firsthand("serv")
    assert said.exit_code == 2
    assert "Did you mean 'serve'?" in said.err


@pytest.mark.parametrize("command", [("trace", "m1"), ("status",), ("replay", "--integration", "criteo")])
def test_another_data_folder(firsthand: Firsthand, command: tuple[str, ...]) -> None:
    said = firsthand(*command, "--data", "elsewhere")
    assert said.exit_code == 1
    assert said.err.startswith("firsthand: elsewhere/events.db is not there yet")
    assert "--data" in said.err
    assert not Path("elsewhere").exists()


def test_a_file_of_faults_that_is_not_there(firsthand: Firsthand) -> None:
    said = firsthand("emulate", "--faults", "nowhere.json")
    assert (said.exit_code, said.err) == (1, "firsthand: nowhere.json: No such file or directory\n")


def test_a_data_folder_that_cannot_be_made(firsthand: Firsthand) -> None:
    said = firsthand("serve", "--data", "/proc/nowhere")
    assert (said.exit_code, said.err) == (1, "firsthand: /proc/nowhere: No such file or directory\n")


def test_a_configuration_without_sources(firsthand: Firsthand, tmp_path: Path) -> None:
    (tmp_path / "empty.yaml").write_text("sources: []\n")
    said = firsthand("serve", "--config", "empty.yaml")
    assert said.exit_code == 1
    assert "empty.yaml names no sources" in said.err
    assert "`firsthand init` writes a firsthand.yaml to begin with" in said.err


def test_of_events_that_are_there(firsthand: Firsthand, tmp_path: Path, vendor: Emulator) -> None:
    with Gateway(tmp_path, config(criteo()), vendor, data=tmp_path / "data") as gateway:
        wrong = order("a sale")
        wrong["properties"]["products"][0]["price"] = "1,50"
        gateway.send(page("m1"), page("m2", event="Order Complete", type="track"), wrong)
        gateway.settle()
    here = ("--data", str(tmp_path / "data"))

    said = firsthand("trace", "m1", "--source", "shop", *here)
    assert (said.exit_code, "no source 'shop' has sent anything here; there are web-shop" in said.err) == (1, True)

    said = firsthand("replay", "--integration", "criteo", "--message-id", "nobody", *here)
    assert (said.exit_code, said.err) == (1, "firsthand: no event with the message id 'nobody' is kept here\n")

    alone = "What was delivered is left alone without --resend: the vendor gets it twice"
    for options, why in {
        ("--message-id", "m1"): f"it is delivered. {alone}",
        ("--message-id", "m2", "--state", "dead"): "it is filtered, and you asked for what is dead",
        ("--message-id", "m2", "--reason", "bot"): "it is filtered for not_mapped, and you asked for bot",
        ("--message-id", "m2", "--to", "2020-01-01"): "it is filtered, and was received at another time than you asked"
        " for, or its event is kept nowhere any more",
        ("--reason", "bot"): "there is 1 delivered, 1 dead, 1 filtered at criteo, and none of it is what you asked for."
        f" {alone}",
    }.items():
        said = firsthand("replay", "--integration", "criteo", *options, *here)
        assert (said.exit_code, said.out) == (0, f"Nothing to replay: {why}\n")

    said = firsthand("replay", "--integration", "criteo", "--dry-run", *here)
    assert said.out.splitlines()[0] == "2 deliveries would be sent again"

    times = ("--from", "2026-11-23", "--to", "2026-11-22")
    said = firsthand("replay", "--integration", "criteo", *times, "--dry-run", *here)
    assert said.exit_code == 2
    assert "is not before" in said.err

    said = firsthand("trace", "a sale", *here)
    assert f"--message-id 'a sale' \\\n               --data {here[1]}\n" in said.out


def test_nothing_to_replay_of_what_waits(firsthand: Firsthand, tmp_path: Path, vendor: Emulator) -> None:
    """An event that is held for its visitor's answer is there, though no replay takes it."""
    waits = config(criteo(consent={"basis": "tcf"}))
    with Gateway(tmp_path, waits, vendor, data=tmp_path / "data") as gateway:
        gateway.send(page("m1"))
        until("it is held", lambda: gateway.counts()["held"])
    said = firsthand("replay", "--integration", "criteo", "--data", str(tmp_path / "data"))
    assert said.out == (
        "Nothing to replay: there is 1 held at criteo, and none of it is what you asked for."
        " What is pending, held or retrying goes on by itself\n"
    )


def test_a_damaged_file(firsthand: Firsthand, tmp_path: Path, vendor: Emulator) -> None:
    with Gateway(tmp_path, config(criteo()), vendor, data=tmp_path / "data") as gateway:
        gateway.send(page("m1"))
        gateway.settle()
        assert gateway.stop() == 0
    with (tmp_path / "data" / "ledger.db").open("r+b") as raw:
        raw.write(b"no database at all")
    for command in (("status",), ("trace", "m1"), ("replay", "--integration", "criteo")):
        said = firsthand(*command, "--data", str(tmp_path / "data"))
        assert said.exit_code == 1
        assert "damaged" in said.err
        assert "docs/delivery.md" in said.err
    said = firsthand("doctor", "--data", str(tmp_path / "data"))
    assert "a file in it is damaged" in " ".join(said.out.split())
    assert "fault of ours" not in said.out
