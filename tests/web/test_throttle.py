"""Guessing is slow."""

from hypothesis import given
from hypothesis import strategies as st

from asktell.web.throttle import Throttle


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_after_the_limit_a_caller_waits_until_the_oldest_failure_is_past() -> None:
    clock = Clock()
    throttle = Throttle(2, 100, 60.0, clock=clock)
    assert [throttle.attempt("a") for _ in range(3)] == [0.0, 0.0, 60.0]
    clock.now = 45.0
    assert (throttle.attempt("a"), throttle.attempt("b")) == (15.0, 0.0)
    clock.now = 60.0
    assert throttle.attempt("a") == 0.0


def test_success_is_not_counted() -> None:
    throttle = Throttle(2, 100, 60.0, clock=Clock())
    for _ in range(50):
        assert throttle.attempt("a") == 0.0
        throttle.succeed("a")


def test_many_callers_together_are_bounded_too() -> None:
    throttle = Throttle(5, 3, 60.0, clock=Clock())
    assert [bool(throttle.attempt(f"caller {k}")) for k in range(5)] == [False, False, False, True, True]


@given(st.lists(st.tuples(st.integers(0, 40), st.sampled_from("abc")), max_size=80))
def test_no_window_holds_more_than_the_limit(steps: list[tuple[int, str]]) -> None:
    clock = Clock()
    throttle = Throttle(3, 5, 60.0, clock=clock)
    let_in: list[tuple[float, str]] = []
    for step, caller in steps:
        clock.now += step
        if throttle.attempt(caller) == 0.0:
            let_in.append((clock.now, caller))
    for start, _ in let_in:
        within = [caller for when, caller in let_in if start <= when < start + 60.0]
        assert len(within) <= 5
        assert all(within.count(caller) <= 3 for caller in "abc")
