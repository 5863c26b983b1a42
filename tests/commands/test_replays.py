"""`replays` as it is typed: what waits, and how it is cancelled."""

from pathlib import Path

from tests.commands.conftest import Firsthand
from tests.gateway import Emulator, Gateway, config, criteo, order


def test_a_replay_that_waits_is_cancelled(firsthand: Firsthand, tmp_path: Path, vendor: Emulator) -> None:
    here = ("--data", str(tmp_path / "data"))
    with Gateway(tmp_path, config(criteo()), vendor) as gateway:
        broken = order("broken")
        broken["properties"]["products"][0]["price"] = "1,50"
        gateway.send(broken)
        gateway.settle()
    assert firsthand("replays", *here).out == "No replay was asked for here\n"
    asked = firsthand("replay", "--integration", "criteo", "--reason", "field_invalid", *here)
    cancel = asked.out.splitlines()[-1].partition("firsthand ")[2].split()
    id = cancel[-1]
    waits = firsthand("replays", *here).out
    assert waits.startswith(f"{id}  waits      criteo  ")
    assert "  --reason field_invalid\n" in waits

    assert firsthand(*cancel, *here).out.startswith(f"{id}  cancelled  criteo")
    said = firsthand(*cancel, *here)
    assert (said.exit_code, said.err) == (1, f"firsthand: replay {id} has ended already: cancelled\n")
    assert firsthand("replays", "--cancel", "nothing", *here).exit_code == 1
    with gateway:
        gateway.settle()
        assert not gateway.delivery("broken")["generation"], "what was cancelled is not replayed"
    (replay,) = firsthand("replays", "--json", *here).json["replays"]
    assert (replay["id"], replay["state"]) == (id, "cancelled")
