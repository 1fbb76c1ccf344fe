"""What was enqueued, with which arguments, and what a failed assertion shows."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import transaction

from reinhardt_tasks.exceptions import SerializationFailed
from reinhardt_tasks.jobs import TaskStatus
from reinhardt_tasks.testing import CapturedTasks, TasksFailed

from .chores import fail, note, send, sign_up


def test_what_was_enqueued_is_found_by_its_task(reinhardt_tasks: CapturedTasks) -> None:
    first, second = note.enqueue(1), note.enqueue([2])
    send.enqueue("a@example.org")
    assert [one.id for one in reinhardt_tasks.enqueued(note)] == [first.id, second.id]
    assert [one.args for one in reinhardt_tasks.enqueued(note)] == [[1], [[2]]]
    assert len(reinhardt_tasks.enqueued()) == 3
    assert len(reinhardt_tasks.enqueued(queue_name="emails")) == 1


@pytest.mark.parametrize(
    "call",
    [{"args": (1, 2)}, {"args": [1], "kwargs": {"more": 2}}, {"kwargs": {"more": 2}}, {"kwargs": {"value": 1}}, {}],
)
def test_a_call_is_known_however_it_is_written(reinhardt_tasks: CapturedTasks, call: dict[str, Any]) -> None:
    note.enqueue(1, more=2)
    note.enqueue(3)
    [found] = reinhardt_tasks.assert_enqueued(note, **call)[:1]
    assert found.kwargs == {"more": 2}


@pytest.mark.parametrize("call", [{"args": (1,)}, {"args": (2, 2)}, {"kwargs": {"more": 3}}, {"queue_name": "emails"}])
def test_another_call_is_not_taken_for_it(reinhardt_tasks: CapturedTasks, call: dict[str, Any]) -> None:
    note.enqueue(1, more=2)
    with pytest.raises(AssertionError, match="was not enqueued"):
        reinhardt_tasks.assert_enqueued(note, **call)


def test_arguments_are_compared_as_they_are_stored(reinhardt_tasks: CapturedTasks) -> None:
    note.enqueue((1, (2,)))
    reinhardt_tasks.assert_enqueued(note, args=[(1, [2])])


def test_free_keywords_are_compared_by_their_names(reinhardt_tasks: CapturedTasks) -> None:
    send.enqueue("a", reply_to="b", sender="c")
    reinhardt_tasks.assert_enqueued(send, kwargs={"reply_to": "b"})
    with pytest.raises(AssertionError):
        reinhardt_tasks.assert_enqueued(send, kwargs={"reply_to": "c"})


def test_what_is_refused_in_production_is_refused(reinhardt_tasks: CapturedTasks) -> None:
    with pytest.raises(SerializationFailed):
        note.enqueue({1})
    with pytest.raises(TypeError):
        note.enqueue()
    reinhardt_tasks.assert_nothing_enqueued()


def test_the_number_is_checked(reinhardt_tasks: CapturedTasks) -> None:
    note.enqueue(1)
    note.enqueue(1)
    reinhardt_tasks.assert_enqueued(note, args=[1], count=2)
    reinhardt_tasks.assert_enqueued(note, args=[2], count=0)
    with pytest.raises(AssertionError, match=r"chores.note\(1\) was enqueued 2 times, not once"):
        reinhardt_tasks.assert_enqueued(note, args=[1], count=1)


def test_a_failure_shows_what_there_is_the_nearest_first(reinhardt_tasks: CapturedTasks) -> None:
    fail.enqueue("a@example.org")
    send.enqueue("b@example.com", subject="Hello")
    send.enqueue("a@example.org", subject="Hullo")
    with pytest.raises(AssertionError) as caught:
        reinhardt_tasks.assert_enqueued(send, args=["a@example.org"], kwargs={"subject": "Hello"}, queue_name="emails")
    lines = str(caught.value).splitlines()
    assert lines[0] == (
        "tests.testing.chores.send('a@example.org', subject='Hello') on queue 'emails' was not enqueued. "
        "What was enqueued (nearest first):"
    )
    assert lines[1] == "  tests.testing.chores.send('a@example.org', subject='Hullo')  queue 'emails', PENDING"
    assert "b@example.com" in lines[2] and "chores.fail" in lines[3]


def test_what_nobody_is_to_see_is_not_shown(reinhardt_tasks: CapturedTasks) -> None:
    sign_up.enqueue("ada", password="correct horse")
    with pytest.raises(AssertionError) as caught:
        reinhardt_tasks.assert_enqueued(send)
    assert "password='[redacted]'" in str(caught.value)
    with pytest.raises(TasksFailed) as failed:
        reinhardt_tasks.drain()
    assert "correct horse" not in f"{caught.value} {failed.value}"


def test_a_long_list_is_cut(reinhardt_tasks: CapturedTasks) -> None:
    note.enqueue_many([((number,), {}) for number in range(30)])
    with pytest.raises(AssertionError, match="… and 20 more"):
        reinhardt_tasks.assert_enqueued(send)
    note.enqueue_many([((number,), {}) for number in range(300)])
    reinhardt_tasks.assert_enqueued(note, count=330)


def test_nothing_enqueued_shows_what_there_is(reinhardt_tasks: CapturedTasks) -> None:
    reinhardt_tasks.assert_nothing_enqueued()
    note.enqueue(1)
    reinhardt_tasks.assert_nothing_enqueued(send)
    with pytest.raises(AssertionError, match=r"chores.note\(1\)  queue 'default', PENDING"):
        reinhardt_tasks.assert_nothing_enqueued()
    with pytest.raises(AssertionError, match="No tests.testing.chores.note was to be enqueued"):
        reinhardt_tasks.assert_nothing_enqueued(note)


@pytest.mark.django_db
def test_a_failure_tells_of_callbacks_that_wait_for_a_commit(reinhardt_tasks: CapturedTasks) -> None:
    transaction.on_commit(lambda: note.enqueue(1))
    with pytest.raises(
        AssertionError, match=r"Nothing was enqueued.\n1 on_commit callback waits .* drain\(on_commit=True\)"
    ):
        reinhardt_tasks.assert_enqueued(note)
    with pytest.raises(AssertionError, match="1 on_commit callback waits"):
        reinhardt_tasks.assert_nothing_enqueued()


@pytest.mark.parametrize("name", ["Dummy", "Immediate"])
def test_a_failure_tells_of_a_backend_that_keeps_nothing(
    reinhardt_tasks: CapturedTasks, settings: Any, name: str
) -> None:
    settings.TASKS = {"default": {"BACKEND": f"reinhardt_tasks.backends.{name}Backend", "QUEUES": []}}
    note.enqueue(1)
    with pytest.raises(AssertionError, match=rf"TASKS\['default'\] is {name}Backend, which keeps no tasks"):
        reinhardt_tasks.assert_enqueued(note)
    reinhardt_tasks.assert_nothing_enqueued()


def test_a_function_is_no_task(reinhardt_tasks: CapturedTasks) -> None:
    with pytest.raises(TypeError, match="Name the task itself"):
        reinhardt_tasks.assert_enqueued(note.func)
    with pytest.raises(TypeError, match="needs the task"):
        reinhardt_tasks.enqueued(args=[1])


def test_what_is_cleared_is_forgotten_and_never_runs(reinhardt_tasks: CapturedTasks) -> None:
    result = note.enqueue(1)
    reinhardt_tasks.clear()
    reinhardt_tasks.assert_nothing_enqueued()
    assert reinhardt_tasks.drain() == []
    result.refresh()
    assert result.state is TaskStatus.CANCELLED
