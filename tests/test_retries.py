"""When a failed task runs again: every promise about strategies, states and policies."""

from __future__ import annotations

import math
import pickle
import random
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from reinhardt_tasks.exceptions import Retry
from reinhardt_tasks.retries import RetryPolicy, RetryState, RetryStrategy, pause_after, seconds

exponential = RetryStrategy.exponential_backoff
plain = exponential().with_jitter(False)


# RetryStrategy: how each begins


@pytest.mark.parametrize(
    ("strategy", "values"),
    [
        (RetryStrategy(), (3, 1.0, 60.0, 2.0, True)),
        (exponential(), (3, 1.0, 60.0, 2.0, True)),
        (RetryStrategy.fixed_delay(7), (3, 7.0, 7.0, 1.0, False)),
        (RetryStrategy.fixed_delay(timedelta(minutes=2)), (3, 120.0, 120.0, 1.0, False)),
        (RetryStrategy.no_retry(), (0, 0.0, 0.0, 1.0, False)),
    ],
    ids=["default", "exponential", "fixed", "fixed by a timedelta", "none"],
)
def test_a_strategy_begins_as_promised(strategy: RetryStrategy, values: tuple[Any, ...]) -> None:
    given = (strategy.max_retries, strategy.initial_delay, strategy.max_delay, strategy.multiplier, strategy.has_jitter)
    assert given == values
    assert strategy.jitter is strategy.has_jitter


def test_each_value_can_be_set_on_a_changed_copy() -> None:
    before = exponential()
    after = (
        before.with_max_retries(5)
        .with_initial_delay(2)
        .with_max_delay(timedelta(minutes=5))
        .with_multiplier(3)
        .with_jitter(False)
    )
    assert before == exponential()
    assert after == exponential(max_retries=5, initial_delay=2, max_delay=300, multiplier=3, jitter=False)
    with pytest.raises(AttributeError):
        before.max_retries = 9  # type: ignore[misc]


def test_the_constructors_take_changes_too() -> None:
    assert exponential(max_retries=7).max_retries == 7
    fixed = RetryStrategy.fixed_delay(5, max_retries=1, jitter=True)
    assert (fixed.max_retries, fixed.initial_delay, fixed.max_delay, fixed.jitter) == (1, 5.0, 5.0, True)


def test_equal_strategies_are_equal_and_hash_alike() -> None:
    assert exponential() == exponential()
    assert hash(exponential()) == hash(exponential())
    assert exponential() != plain


def test_a_strategy_pickles() -> None:
    assert pickle.loads(pickle.dumps(plain)) == plain
    assert pickle.loads(pickle.dumps(plain)).calculate_delay(3) == 4.0


# RetryStrategy: delays


def test_delays_double_from_one_second_up_to_the_cap() -> None:
    assert [plain.calculate_delay(n) for n in range(1, 9)] == [1, 2, 4, 8, 16, 32, 60, 60]


@pytest.mark.parametrize("strategy", [exponential(), plain, RetryStrategy.fixed_delay(5), RetryStrategy.no_retry()])
def test_there_is_no_delay_before_the_first_run(strategy: RetryStrategy) -> None:
    assert strategy.calculate_delay(0) == 0


def test_there_is_no_delay_without_retries() -> None:
    assert [RetryStrategy.no_retry().calculate_delay(n) for n in (1, 2, 1000)] == [0, 0, 0]
    assert plain.with_max_retries(0).calculate_delay(3) == 0


def test_a_fixed_delay_is_always_that_delay() -> None:
    assert [RetryStrategy.fixed_delay(2.5).calculate_delay(n) for n in (1, 2, 3, 500)] == [2.5] * 4


def test_a_delay_is_answered_beyond_the_number_of_retries_too() -> None:
    assert plain.with_max_retries(1).calculate_delay(4) == 8


def test_the_cap_also_cuts_the_first_delay() -> None:
    assert plain.with_max_delay(0.25).calculate_delay(1) == 0.25
    # As in the original: fixed_delay sets both, so that a longer first delay has to raise the cap as well.
    fixed = RetryStrategy.fixed_delay(5)
    assert fixed.with_initial_delay(9).calculate_delay(1) == 5
    assert fixed.with_initial_delay(9).with_max_delay(10).calculate_delay(1) == 9


def test_a_multiplier_below_one_shortens_the_delays() -> None:
    assert [plain.with_multiplier(0.5).calculate_delay(n) for n in (1, 2, 3)] == [1, 0.5, 0.25]


@pytest.mark.parametrize("n", [64, 1_000, 1_100, 10**6, 10**18, 10**400])
@pytest.mark.parametrize("multiplier", [1.0001, 2.0, 1e300])
def test_no_attempt_is_so_late_that_its_delay_overflows(multiplier: float, n: int) -> None:
    strategy = exponential().with_multiplier(multiplier)
    assert 0 <= strategy.calculate_delay(n) <= 60
    assert strategy.with_jitter(False).calculate_delay(max(n, 10**6)) == 60


@pytest.mark.parametrize(("multiplier", "delay"), [(1.0, 1.0), (0.5, 0.0)])
def test_the_delay_of_a_very_late_attempt_is_what_delays_come_to(multiplier: float, delay: float) -> None:
    strategy = plain.with_multiplier(multiplier)
    assert [strategy.calculate_delay(n) for n in (10**18, 10**400)] == [delay, delay]


def test_a_whole_multiplier_is_kept_as_a_float_for_powers_of_whole_numbers_grow_without_end() -> None:
    # 2 ** (10**18) would be computed to its last digit, that is never; 2.0 ** (10**18) is over at once.
    for strategy in (plain.with_multiplier(3), exponential(multiplier=3), RetryStrategy(multiplier=3)):
        assert isinstance(strategy.multiplier, float)


def test_huge_attempts_of_other_strategies_have_delays_too() -> None:
    assert plain.with_initial_delay(0).calculate_delay(10**18) == 0
    assert plain.with_multiplier(0.5).calculate_delay(10**18) == 0
    assert RetryStrategy.fixed_delay(3).calculate_delay(10**18) == 3
    assert plain.with_initial_delay(1e308).with_max_delay(1e308).calculate_delay(50) == 1e308


def test_jitter_is_a_random_point_between_nothing_and_the_computed_delay() -> None:
    strategy = exponential(random=random.Random(7))
    for n in range(1, 10):
        drawn = [strategy.calculate_delay(n) for _ in range(500)]
        whole = plain.calculate_delay(n)
        assert all(0 <= delay < whole for delay in drawn)
        # Spread over all of it, not over a corner.
        assert min(drawn) < whole * 0.1
        assert max(drawn) > whole * 0.9
        assert len(set(drawn)) > 450


def test_a_seeded_source_gives_the_same_delays_again() -> None:
    first, second = (exponential(random=random.Random(42)) for _ in range(2))
    assert [first.calculate_delay(n) for n in range(1, 9)] == [second.calculate_delay(n) for n in range(1, 9)]


def test_the_cap_comes_before_the_jitter() -> None:
    strategy = exponential(random=random.Random(1))
    late = [strategy.calculate_delay(50) for _ in range(200)]
    # With the cap last, nearly all of these would be exactly 60.
    assert max(late) < 60
    assert min(late) < 10


def test_tasks_that_failed_together_do_not_come_back_together() -> None:
    # Each strategy draws from a source of its own that nobody seeded.
    assert len({exponential().calculate_delay(5) for _ in range(100)}) > 90


# RetryStrategy: whether


def test_three_retries_are_three_after_the_first_run() -> None:
    assert [exponential().should_retry(n) for n in range(5)] == [True, True, True, False, False]
    assert RetryStrategy.no_retry().should_retry(0) is False


@pytest.mark.parametrize("failures", [1, 2, 3])
def test_a_strategy_is_a_backoff_that_counts_the_tasks_own_failures(failures: int) -> None:
    result = SimpleNamespace(failures=failures, attempts=99)
    assert plain(ValueError(), result) == 2 ** (failures - 1)


def test_a_result_of_another_backend_is_counted_by_its_attempts() -> None:
    assert plain(ValueError(), SimpleNamespace(attempts=2)) == 2


def test_no_retry_as_a_backoff_ends_the_retries() -> None:
    assert RetryStrategy.no_retry()(ValueError(), SimpleNamespace(attempts=1)) is None


# RetryStrategy: bad values


@pytest.mark.parametrize("multiplier", [0, -1, -0.5, math.nan, math.inf, -math.inf])
def test_a_multiplier_that_is_not_positive_and_finite_is_refused_by_its_value(multiplier: float) -> None:
    with pytest.raises(ValueError, match=f"positive, finite number, not {multiplier!r}"):
        exponential().with_multiplier(multiplier)
    with pytest.raises(ValueError, match="multiplier"):
        RetryStrategy(multiplier=multiplier)


@pytest.mark.parametrize("max_retries", [-1, 1.5, "3", None, True])
def test_a_number_of_retries_is_a_whole_number(max_retries: Any) -> None:
    with pytest.raises(ValueError, match="max_retries must be a whole number, 0 or more"):
        exponential().with_max_retries(max_retries)


@pytest.mark.parametrize("delay", [math.nan, math.inf, -math.inf])
def test_a_delay_is_finite(delay: float) -> None:
    with pytest.raises(ValueError, match="finite number of seconds"):
        exponential().with_initial_delay(delay)
    with pytest.raises(ValueError, match="finite number of seconds"):
        RetryStrategy(max_delay=delay)
    with pytest.raises(ValueError, match="finite number of seconds"):
        RetryStrategy.fixed_delay(delay)


def test_seconds_are_read_from_numbers_and_timedeltas_and_are_never_less_than_none() -> None:
    given = [1, 1.5, timedelta(minutes=1, milliseconds=500), 0, -3, timedelta(days=-1)]
    assert [seconds(delay) for delay in given] == [1, 1.5, 60.5, 0, 0, 0]


# RetryState


def test_a_state_counts_attempts_and_says_what_follows() -> None:
    state = RetryState(plain)
    seen = []
    while state.can_retry():
        seen.append((state.attempts, state.next_delay()))
        state.record_attempt()
    assert seen == [(0, 1), (1, 2), (2, 4)]
    assert state.attempts == 3


def test_a_state_begins_again_after_a_reset() -> None:
    state = RetryState(plain)
    for _ in range(3):
        state.record_attempt()
    state.reset()
    assert (state.attempts, state.can_retry(), state.next_delay()) == (0, True, 1)
    assert state.strategy is plain


def test_a_state_is_exponential_by_default() -> None:
    assert RetryState().strategy == exponential()


def test_a_state_without_retries_never_has_another() -> None:
    state = RetryState(RetryStrategy.no_retry())
    assert state.can_retry() is False
    assert state.next_delay() == 0


# RetryPolicy


def policy(max_attempts: int = 4, backoff: Any = plain, **values: Any) -> RetryPolicy:
    return RetryPolicy(max_attempts=max_attempts, backoff=backoff, **values)


def after(rules: RetryPolicy, exception: BaseException, failures: int = 1) -> float | None:
    return rules.delay_after(exception, failures, SimpleNamespace(failures=failures, attempts=failures))


def test_the_last_attempts_failure_is_final() -> None:
    assert [after(policy(3), ValueError(), failures) for failures in (1, 2, 3, 4)] == [1, 2, None, None]
    assert after(policy(1), ValueError()) is None


def test_retry_on_chooses_and_give_up_on_has_the_last_word() -> None:
    rules = policy(retry_on=(OSError,), give_up_on=(FileNotFoundError,))
    assert after(rules, OSError()) == 1
    assert after(rules, ConnectionError()) == 1
    assert after(rules, FileNotFoundError()) is None
    assert after(rules, ValueError()) is None
    assert after(policy(give_up_on=(ValueError,)), UnicodeError()) is None
    assert after(policy(give_up_on=(ValueError,)), KeyError()) == 1


@pytest.mark.parametrize(
    ("answer", "delay"), [(5, 5), (0, 0), (0.5, 0.5), (timedelta(minutes=1), 60), (None, None), (-1, 0)]
)
def test_a_backoff_may_be_any_callable(answer: Any, delay: float | None) -> None:
    assert after(policy(backoff=lambda exception, result: answer), ValueError()) == delay


def test_a_backoff_is_told_the_exception_and_the_result() -> None:
    told = []
    error, result = ValueError("no"), SimpleNamespace(attempts=2)
    policy(backoff=lambda *given: told.append(given)).delay_after(error, 2, result)
    assert told == [(error, result)]


@pytest.mark.parametrize("in_", [30, timedelta(seconds=30)])
def test_a_task_that_asks_for_its_retry_gets_it_when_it_said(in_: Any) -> None:
    assert after(policy(), Retry(in_=in_)) == 30
    assert after(policy(retry_on=(OSError,)), Retry(in_=in_)) == 30
    assert after(policy(give_up_on=(Exception,)), Retry(in_=in_)) == 30


def test_a_task_that_names_no_delay_has_its_backoffs() -> None:
    assert after(policy(), Retry(), failures=3) == 4
    assert after(policy(), Retry(in_=0), failures=3) == 0
    assert after(policy(retry_on=(OSError,)), Retry(), failures=3) == 4


def test_asking_for_a_retry_gives_no_attempt_more() -> None:
    assert after(policy(2), Retry(in_=1), failures=2) is None


def test_what_a_backoff_raises_is_raised() -> None:
    with pytest.raises(ZeroDivisionError):
        after(policy(backoff=lambda exception, result: 1 / 0), ValueError())


def test_a_backoff_that_answers_nonsense_is_an_error_not_an_endless_wait() -> None:
    with pytest.raises(ValueError, match="finite number of seconds"):
        after(policy(backoff=lambda exception, result: math.nan), ValueError())


def test_what_fails_in_a_row_is_let_be_twice_as_long_each_time_and_never_too_long() -> None:
    for failures, most in [(0, 0.1), (1, 0.2), (4, 1.6), (6, 6.4), (7, 10.0), (10**6, 10.0)]:
        pauses = [pause_after(failures, first=0.1, longest=10.0) for _ in range(50)]
        assert all(most / 2 <= pause <= most for pause in pauses)
        assert len(set(pauses)) > 1
