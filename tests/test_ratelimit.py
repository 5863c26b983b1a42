"""A token bucket: a burst of one second's worth, then the rate."""

from hypothesis import given
from hypothesis import strategies as st

from firsthand.ratelimit import TokenBucket


class Seconds:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_seconds_worth_may_come_at_once() -> None:
    bucket = TokenBucket(10, Seconds())
    assert [bucket.take() for _ in range(10)] == [0.0] * 10
    assert bucket.take() > 0


def test_it_says_how_long_to_wait() -> None:
    clock = Seconds()
    bucket = TokenBucket(10, clock)
    bucket.take(10)
    assert bucket.take() == 0.1
    assert bucket.take(5) == 0.5
    clock.now += 0.1
    assert bucket.take() == 0.0


def test_a_rate_below_one_a_second_still_lets_one_through() -> None:
    clock = Seconds()
    bucket = TokenBucket(0.5, clock)
    assert bucket.take() == 0.0
    assert bucket.take() == 2.0
    clock.now += 2
    assert bucket.take() == 0.0


def test_a_demand_above_the_burst_is_let_through_and_paid_back() -> None:
    clock = Seconds()
    bucket = TokenBucket(10, clock)
    assert bucket.take(100) == 0.0
    assert bucket.take() == 9.1
    clock.now += 9.1
    assert bucket.take() == 0.0


def test_a_pause_saves_up_no_more_than_a_burst() -> None:
    clock = Seconds()
    bucket = TokenBucket(10, clock)
    clock.now += 3600
    assert [bucket.take() == 0.0 for _ in range(12)] == [True] * 10 + [False] * 2


@given(st.floats(0.1, 1000), st.lists(st.tuples(st.floats(0, 2), st.integers(1, 50)), min_size=1, max_size=100))
def test_over_time_the_rate_is_kept_to(rate: float, demands: list[tuple[float, int]]) -> None:
    """What is let through never exceeds the burst, the rate, and the one demand that may go into debt."""
    clock = Seconds()
    bucket = TokenBucket(rate, clock)
    taken, largest = 0, 0
    for pause, units in demands:
        clock.now += pause
        if bucket.take(units) == 0.0:
            taken, largest = taken + units, max(largest, units)
        assert taken <= max(rate, 1.0) + rate * clock.now + largest + 1e-6


@given(st.floats(0.1, 1000), st.integers(1, 2000))
def test_whoever_waits_as_told_is_let_through(rate: float, units: int) -> None:
    clock = Seconds()
    bucket = TokenBucket(rate, clock)
    bucket.take(3)
    for _ in range(5):  # a rounding error may cost another moment
        pause = bucket.take(units)
        if not pause:
            return
        clock.now += pause + 1e-9
    raise AssertionError("never let through")
