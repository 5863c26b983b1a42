"""A damaged page of `identity.db`: what can be read is kept, erasures above all, and the log is observed again."""

import os
from pathlib import Path

import apsw
import pytest
from tests.deliver.toys import says
from tests.deliver.world import World, toy
from tests.deliver.world import event as sent
from tests.identity.shop import DAY, GUM, NOW_MS, Shop, event

from firsthand.identity import mending
from firsthand.identity.profile import Ref

VISITORS = 3_000


def damage(folder: Path, every: int = 3, first: int = 12) -> None:
    """Overwrite the beginning of many pages, but not of those that hold the small tables."""
    file = folder / "identity.db"
    content = bytearray(file.read_bytes())
    for start in range(first * 4096, len(content), every * 4096):
        content[start : start + 200] = os.urandom(200)
    file.write_bytes(content)


def full(shop: Shop) -> None:
    """A hub that knows many visitors, and has erased one in ten."""
    shop.see(*(event(n, anonymous_id=f"a-{n}", ids={GUM: f"gum-{n}"}) for n in range(VISITORS)))
    shop.hub.erase({"shop": [Ref("a", f"a-{n}") for n in range(0, VISITORS, 10)]}, {}, NOW_MS + DAY)
    shop.hub.close()


def known(shop: Shop) -> int:
    return sum(shop.gum(f"a-{n}") == f"gum-{n}" for n in range(VISITORS))


def erased(shop: Shop) -> int:
    late = (event(1, anonymous_id=f"a-{n}") for n in range(0, VISITORS, 10))
    return sum(shop.hub.erased("shop", one, NOW_MS) for one in late)


def test_what_can_be_read_is_kept_and_the_log_is_observed_again(tmp_path: Path) -> None:
    shop = Shop(tmp_path)
    full(shop)
    damage(tmp_path)
    shop.open()
    assert shop.hub.position(0) == VISITORS
    assert VISITORS // 2 < known(shop) < 0.9 * VISITORS
    assert erased(shop) > VISITORS // 20
    assert shop.hub.position(0) == 0, "from its start"
    shop.position = 0
    shop.see(*(event(n, anonymous_id=f"a-{n}", ids={GUM: f"gum-{n}"}) for n in range(VISITORS) if n % 10))
    assert known(shop) == 0.9 * VISITORS
    shop.reopen()
    assert known(shop) == 0.9 * VISITORS
    assert [path.name for path in tmp_path.glob("identity*.db")] == ["identity.db"]


def test_damage_that_is_met_while_learning(tmp_path: Path) -> None:
    shop = Shop(tmp_path)
    full(shop)
    damage(tmp_path, every=1)
    shop.open()
    shop.see(*(event(DAY, anonymous_id=f"a-{n}", ids={GUM: f"new-{n}"}) for n in range(VISITORS)))
    assert shop.hub.position(0) == 0, "what was learned is kept, and all is observed again"
    shop.position = 0
    shop.see(event(1, anonymous_id="a"))
    assert shop.hub.position(0) == 1
    assert shop.gum("a-7", at=2 * DAY) == "new-7"
    shop.hub.close()


def test_a_disk_without_room_for_all_of_it_keeps_the_erasures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shop = Shop(tmp_path)
    full(shop)
    damage(tmp_path, every=40)
    copy = mending._copy

    def scarce(old: apsw.Connection, new: apsw.Connection, tombstones: bool) -> int:
        if not tombstones:
            raise apsw.FullError("full")
        return copy(old, new, tombstones)

    monkeypatch.setattr(mending, "_copy", scarce)
    shop.open()
    assert known(shop) < 300, "what was asked for before the damage was met"
    assert erased(shop) > VISITORS // 12
    shop.hub.close()


@pytest.mark.parametrize("kill", ["before", "between", "after"])
def test_a_kill_while_mending_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kill: str) -> None:
    shop = Shop(tmp_path)
    full(shop)
    damage(tmp_path)
    shop.open()
    moved = os.replace

    def killed(old: Path, new: Path) -> None:
        if kill == "before" or (kill == "between" and old.name == mending.COPY):
            raise KeyboardInterrupt
        moved(old, new)
        if old.name == mending.COPY:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", killed)
        with pytest.raises(KeyboardInterrupt):
            known(shop)
    shop.open()
    assert known(shop) > VISITORS // 2
    assert erased(shop) > VISITORS // 20
    shop.hub.close()


async def test_delivery_goes_on(tmp_path: Path) -> None:
    """Whatever an event's visitor is, no page of the file stands in its way."""
    async with World(tmp_path) as world:
        world.answer = lambda call: says({})
        await world.start(toy())
        await world.collect(*(sent(f"m-{n}", visitor=f"v-{n}", context={"ids": {GUM: "x" * 90}}) for n in range(400)))
        await world.settle()
        await world.stop()
        damage(tmp_path, every=1, first=14)
        await world.start(toy())
        await world.collect(*(sent(f"n-{n}", visitor=f"v-{n}") for n in range(400)))
        await world.settle()
        assert len(world.sent()) == 800
        assert world.hub.position(0) == 800


@pytest.mark.parametrize("salt", ["'a text'", "42", "1.5"])
def test_a_salt_of_another_kind_is_damage(tmp_path: Path, salt: str) -> None:
    """No key means anything without it: the hub begins anew, rather than know nobody or end on each event."""
    shop = Shop(tmp_path)
    shop.see(event(anonymous_id="a-1", ids={GUM: "gum-1"}))
    shop.hub.close()
    db = apsw.Connection(str(tmp_path / "identity.db"))
    db.execute(f"UPDATE salt SET salt = {salt}")
    db.close()
    shop.open()
    assert shop.hub.position(0) == 0, "the log is observed again"
    shop.position = 0
    shop.see(event(anonymous_id="a-1", ids={GUM: "gum-1"}))
    shop.reopen()
    assert shop.gum("a-1") == "gum-1"
    shop.hub.close()
