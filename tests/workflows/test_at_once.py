"""Every form of workflow, with steps that run in the caller: what runs, in which order, and what results come to."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import transaction

from reinhardt_tasks import (
    ChainStatus,
    Concurrency,
    InvalidWorkflow,
    TaskChain,
    TaskChainBuilder,
    Workflow,
    WorkflowNotFound,
    failure,
    get_workflow,
    group,
    previous_result,
    result_of,
    step,
)
from reinhardt_tasks._compat import InvalidTask, task_backends
from reinhardt_tasks.models import StepRow, WorkflowRow
from reinhardt_tasks.workflows import StepStatus, steps_of
from reinhardt_tasks.workflows.sending import job_of

from .tasks import add, fail, fail_later, fail_twice, keep, ran, say, say_later, say_words, total

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def at_once(settings: Any) -> None:
    settings.TASKS = {"default": {"BACKEND": "reinhardt_tasks.backends.ImmediateBackend", "QUEUES": []}}


def counters_are_right(workflow: str) -> None:
    """Fail where a step was counted twice, or not at all."""
    assert not StepRow.objects.filter(workflow_id=workflow, open_needs__lt=0).exists()
    assert not StepRow.objects.filter(workflow_id=workflow, is_through=True, open_needs__gt=0).exists()


def test_a_chain_runs_in_order_and_hands_on_where_it_is_written() -> None:
    chain = (
        TaskChainBuilder("nightly")
        .add_task(add, 1, 2)
        .add_tasks([step(add, previous_result, 10), step(add, 5, 5), step(keep, previous_result)])
        .build()
    )
    assert (chain.status, chain.task_count, chain.is_complete) == (ChainStatus.PENDING, 4, False)
    run = chain.start()
    assert run.status == chain.status == ChainStatus.COMPLETED
    assert chain.is_complete
    assert chain.current_task is None
    assert ran == [(1, 2), (3, 10), (5, 5)]
    assert run.return_value == {"value": 10, "also": None}
    assert run.id == chain.id
    assert run.progress() == (4, 4)
    assert run.started_at and run.finished_at and run.duration is not None
    counters_are_right(run.id)


def test_a_chain_of_two_hundred_needs_no_deep_stack() -> None:
    run = TaskChain("long", [step(say, number) for number in range(200)]).start()
    assert run.status is ChainStatus.COMPLETED
    assert ran == list(range(200))


def test_a_chain_fails_where_a_task_fails_for_good() -> None:
    chain = TaskChain("nightly", [step(say, 1), fail, step(say, 3)])
    run = chain.start()
    assert run.status is chain.status is ChainStatus.FAILED
    assert chain.is_complete
    assert chain.current_task is chain.tasks[1]
    assert ran == [1, "fail"]
    assert [each.state for each in run.steps()] == ["SUCCESS", "FAILURE", "SKIPPED"]
    (failed,) = run.steps(statuses=[StepStatus.FAILURE])
    assert failed.error == "builtins.ValueError: it had to be"
    with pytest.raises(ValueError, match="has no result: it is FAILED"):
        run.return_value


def test_a_chain_is_moved_by_hand_until_it_is_started() -> None:
    chain = TaskChain("by hand").add_task(say, 1).add_task(say, 2)
    assert chain.current_task is chain.tasks[0]
    assert chain.advance() is True
    assert chain.current_task is chain.tasks[1]
    assert chain.advance() is False
    assert chain.current_task is None
    assert chain.status is ChainStatus.PENDING


def test_a_chain_that_was_moved_begins_where_it_stands() -> None:
    chain = TaskChain("moved", [step(say, 1), step(say, 2), fail, step(say, 4)])
    chain.advance()
    run = chain.start()
    assert ran == [2, "fail"]
    assert (run.step_count, run.status, chain.current_task) == (3, ChainStatus.FAILED, chain.tasks[2])
    over = TaskChain("over", [step(say, 5)])
    assert over.advance() is False
    assert over.start().status is over.status is ChainStatus.COMPLETED
    assert (ran, over.current_task) == ([2, "fail"], None)


def test_no_word_is_taken_from_a_tasks_own_arguments() -> None:
    words = {"task": "a", "what": "b", "callback": "c"}
    TaskChain("one").add_task(say_words, **words).start()
    TaskChainBuilder("two").add_task(say_words, **words).build().start()
    group(step(say, 1)).then(say_words, **words).start()
    assert ran == ["abc", "abc", 1, "abc"]


def test_an_attempt_that_is_tried_again_is_no_end() -> None:
    run = TaskChain("again", [step(fail_twice, "x"), step(say, previous_result)]).start()
    assert run.status is ChainStatus.COMPLETED
    assert ran == ["x"] * 4
    assert run.steps()[0].attempts == 3


def test_a_group_and_its_callback() -> None:
    run = group(step(say, number) for number in range(5)).then(total, previous_result).start()
    assert run.return_value == 10
    assert ran == [0, 1, 2, 3, 4, "total"]
    assert group(step(say, 1), step(say_later, 2)).start().return_value == [1, 2]


def test_a_nest_of_everything() -> None:
    inner = Workflow("inner")
    inner.add(step(add, previous_result, 1).named("one"))
    inner.add(step(add, previous_result, 2).named("two"))
    inner.add(step(add, result_of("one"), result_of("two")), after=["one", "two"])
    flow = TaskChain(
        "outer",
        [
            step(add, 10),
            group(
                inner,
                TaskChain("c", [step(add, previous_result, 100), step(add, previous_result, 1000)]),
                group(step(add, previous_result), step(add, 7)),
                name="parts",
            ),
            step(keep, previous_result, also=[result_of("two"), {"deep": result_of("parts")}]).named("end"),
        ],
    )
    run = flow.start()
    parts = [23, 1110, [10, 7]]
    assert run.return_value == {"value": parts, "also": [12, {"deep": parts}]}
    assert run.result_of("parts") == parts
    assert run.results()["one"] == 11
    with pytest.raises(LookupError, match="did you mean 'parts'"):
        run.result_of("part")
    counters_are_right(run.id)


def test_a_workflow_carries_on_after_a_failure_that_may_be() -> None:
    run = (
        group(step(say, 1), step(fail).on_failure("continue", instead=0), step(fail_later).on_failure("continue"))
        .then(keep, previous_result)
        .start()
    )
    assert run.status is ChainStatus.COMPLETED
    assert run.return_value == {"value": [1, 0, None], "also": None}
    assert run.progress() == (4, 4)


def test_a_handler_stands_in_for_what_failed() -> None:
    risky = step(fail, "too bad").named("risky").on_failure(step(keep, failure))
    run = TaskChain("handled", [risky, step(keep, previous_result, also=result_of("risky"))]).start()
    told = {"step": "risky", "exception": "builtins.ValueError", "message": "too bad"}
    assert run.return_value == {"value": {"value": told, "also": None}, "also": {"value": told, "also": None}}
    assert run.status is ChainStatus.COMPLETED


def test_a_handler_without_a_failure_does_not_run() -> None:
    run = TaskChain("fine", [step(say, 1).on_failure(step(say, "handler")), step(keep, previous_result)]).start()
    assert run.return_value == {"value": 1, "also": None}
    assert ran == [1]
    assert [each.state for each in run.steps()] == ["SUCCESS", "SKIPPED", "SUCCESS"]


def test_a_handlers_failure_can_be_handled_or_stops_the_workflow() -> None:
    handled = step(fail).on_failure(step(fail).on_failure(step(say, "last")))
    run = TaskChain("twice", [handled, step(keep, previous_result)]).start()
    assert run.return_value == {"value": "last", "also": None}
    spared = TaskChain("none", [step(say, 1).on_failure(step(fail).on_failure(step(say, 3))), step(say, 4)]).start()
    assert spared.status is ChainStatus.COMPLETED
    stopped = TaskChain("stopped", [step(fail).on_failure(step(fail)), step(say, "never")]).start()
    assert stopped.status is ChainStatus.FAILED
    assert "never" not in ran


def test_an_empty_workflow_is_complete() -> None:
    run = TaskChain("empty").start()
    assert run.status is ChainStatus.COMPLETED
    assert run.progress() == (0, 0)
    assert run.return_value is None
    assert run.retry() is True
    assert run.status is ChainStatus.COMPLETED


def test_a_dummy_keeps_the_first_steps_and_moves_nothing(settings: Any) -> None:
    settings.TASKS = {"default": {"BACKEND": "reinhardt_tasks.backends.DummyBackend", "QUEUES": []}}
    run = TaskChain("dummy", [group(step(say, 1), step(say, 2)), step(say, 3)]).start()
    assert [result.args for result in task_backends["default"].results] == [[1], [2]]
    assert [result.id for result in task_backends["default"].results] == [each.job_id for each in run.steps()][:2]
    assert run.refresh().status is ChainStatus.PENDING
    assert run.cancel()
    assert run.status is ChainStatus.CANCELLED


def test_a_step_for_a_backend_of_somebody_else_is_refused(settings: Any) -> None:
    module = type(task_backends["default"]).__mro__[2].__module__.rpartition(".backends")[0]
    settings.TASKS = {**settings.TASKS, "other": {"BACKEND": f"{module}.backends.dummy.DummyBackend", "QUEUES": []}}
    with pytest.raises(InvalidTask, match="need a backend of reinhardt_tasks"):
        TaskChainBuilder("x").add_task(step(say, 1).using(backend="other")).build()


def test_a_unique_task_is_no_step_unless_that_is_lifted() -> None:
    unique = step(say, 1).using(unique=True)
    with pytest.raises(InvalidWorkflow, match="another call could stand in its place"):
        TaskChainBuilder("x").add_task(unique).build()
    TaskChainBuilder("x").add_task(unique.using(unique=False)).build()


def test_a_limit_whose_key_nobody_knows_yet_is_refused() -> None:
    keyed = Concurrency(1, key="for:{word}")
    TaskChainBuilder("x").add_task(step(say, "a").using(concurrency=keyed)).build()
    later = step(say, previous_result).using(concurrency=keyed)
    with pytest.raises(InvalidWorkflow, match="key 'running:for:<the previous result>', made of <the previous result>"):
        TaskChainBuilder("x").add_task(say, "a").add_task(later).build()


def test_limits_travel_with_a_step() -> None:
    run = TaskChain("limited", [step(say, 1).using(concurrency=1)]).start()
    assert job_of(StepRow.objects.get(workflow_id=run.id, position=0)).limits


def test_a_step_tells_whether_its_function_is_a_coroutine_function() -> None:
    run = TaskChain("both", [step(say, 1), step(say_later, 2)]).start()
    rows = [StepRow.objects.get(workflow_id=run.id, position=position) for position in (0, 1)]
    assert [job_of(row).is_async for row in rows] == [False, True]


def test_starting_twice_starts_once() -> None:
    chain = TaskChain("once", [step(say, 1)])
    assert chain.start().id == chain.start().id == TaskChain("once", [step(say, 1)], id=chain.id).start().id
    assert ran == [1]


def test_what_is_rolled_back_was_never_started() -> None:
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        chain = TaskChain("never", [step(say, 1)])
        run = chain.start()
        1 / 0
    assert ran == []
    assert not WorkflowRow.objects.exists()
    with pytest.raises(WorkflowNotFound):
        run.refresh()
    with pytest.raises(WorkflowNotFound, match="There is no workflow 'nonsense'"):
        get_workflow("nonsense")


def test_a_failed_workflow_goes_on_from_where_it_failed(tmp_path: Any) -> None:
    from .tasks import fail_if

    path = tmp_path / "obstacle"
    path.touch()
    run = TaskChain("retry", [step(say, 1), step(fail_if, str(path)), step(keep, previous_result)]).start()
    assert run.status is ChainStatus.FAILED
    assert run.retry_failed() is True
    assert run.status is ChainStatus.FAILED
    path.unlink()
    assert run.retry_failed() is True
    assert run.status is ChainStatus.COMPLETED
    assert run.return_value == {"value": "done", "also": None}
    assert ran == [1]
    assert run.retry_failed() is False
    counters_are_right(run.id)


def test_where_a_handler_failed_the_step_itself_runs_again(tmp_path: Any) -> None:
    from .tasks import fail_if

    one, two = tmp_path / "one", tmp_path / "two"
    one.touch()
    two.touch()
    flow = TaskChain("h", [step(fail_if, str(one)).on_failure(step(fail_if, str(two))), step(say, previous_result)])
    run = flow.start()
    assert [each.state for each in run.steps()] == ["FAILURE", "FAILURE", "SKIPPED"]
    one.unlink()
    run.retry_failed()
    assert [each.state for each in run.steps()] == ["SUCCESS", "SKIPPED", "SUCCESS"]
    assert run.status is ChainStatus.COMPLETED
    counters_are_right(run.id)


def test_a_whole_workflow_runs_again() -> None:
    run = TaskChain("again", [step(say, 1), group(step(say, 2), step(say, 3)), step(keep, previous_result)]).start()
    first = {each.job_id for each in run.steps()}
    assert run.retry() is True
    assert run.status is ChainStatus.COMPLETED
    assert ran == [1, 2, 3, 1, 2, 3]
    assert not first & {each.job_id for each in run.steps()}
    counters_are_right(run.id)


def test_steps_are_read_in_pages() -> None:
    run = group(step(say, number) for number in range(7)).start()
    pages, after = [], -1
    while page := steps_of(run.id, after=after, limit=3):
        pages.append(len(page))
        after = page[-1].position
    assert pages == [3, 3, 1]
