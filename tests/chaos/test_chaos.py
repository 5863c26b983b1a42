"""The schedule is what its seed says, and a short run ends well."""

from itertools import pairwise
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from tests.chaos.run import run
from tests.chaos.schedule import CLIENTS, PROCESSES, VENDOR_KINDS, schedule

SEEDS = st.integers(0, 2**32)
SECONDS = st.floats(10, 600)


@given(SEEDS, SECONDS)
def test_a_schedule_is_a_function_of_seed_and_seconds(seed: int, seconds: float):
    assert schedule(seed, seconds) == schedule(seed, seconds)


@given(SEEDS, SECONDS)
def test_it_leaves_the_end_quiet_and_a_track_does_one_thing_at_a_time(seed: int, seconds: float):
    steps = schedule(seed, seconds)
    assert steps == sorted(steps, key=lambda step: (step.at, step.track))
    assert all(step.at >= 0 and step.end <= max(seconds - 10, seconds / 2) for step in steps)
    for track in ("gateway", "vendor", "clients"):
        of_it = [step for step in steps if step.track == track]
        assert all(before.end <= after.at for before, after in pairwise(of_it))


@given(SEEDS, SECONDS, SECONDS)
def test_a_shorter_run_is_the_beginning_of_a_longer_one(seed: int, one: float, other: float):
    shorter, longer = sorted((schedule(seed, one), schedule(seed, other)), key=len)
    tracks = {step.track for step in shorter}
    for track in tracks:
        beginning = [step for step in shorter if step.track == track]
        assert [step for step in longer if step.track == track][: len(beginning)] == beginning


@given(SEEDS)
def test_a_long_run_meets_every_kind(seed: int):
    kinds = {step.kind for step in schedule(seed, 600)}
    assert kinds == {*PROCESSES, *VENDOR_KINDS, *CLIENTS}


def test_a_short_run(tmp_path: Path):
    """Three minutes, other seeds: `make chaos`."""
    verdict = run(11, 15, tmp_path, Console(soft_wrap=True))
    assert not verdict.problems
    assert verdict.acknowledged > 500
