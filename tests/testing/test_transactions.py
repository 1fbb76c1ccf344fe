"""What transactions do to captured tasks: in Django's TestCase, in its TransactionTestCase, and on each kind of alias."""

from __future__ import annotations

from contextlib import nullcontext, suppress
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth.models import Group
from django.db import DatabaseError, IntegrityError, connection, connections, transaction
from django.test import TestCase, TransactionTestCase, override_settings

from reinhardt_tasks import TaskChain, step
from reinhardt_tasks.jobs import TaskStatus, new_id
from reinhardt_tasks.models import OutboxRow
from reinhardt_tasks.testing import CapturedTasks, CapturedTasksMixin
from reinhardt_tasks.testing.transactions import savepoints

from .chores import (
    amake_group,
    make_group,
    make_group_atomically,
    make_group_once,
    note,
    note_and_make_group,
    note_last,
    note_on_commit,
    note_once,
    noted,
)

REDIS = {
    "default": {
        "BACKEND": "reinhardt_tasks.backends.RedisBackend",
        "QUEUES": [],
        "OPTIONS": {"URL": "redis://127.0.0.1:1/0"},
    }
}
OUTBOX = {"default": {**REDIS["default"], "OPTIONS": {"URL": "redis://127.0.0.1:1/0", "OUTBOX": True}}}
AT_ONCE = {"default": {**REDIS["default"], "OPTIONS": {"URL": "redis://127.0.0.1:1/0", "ENQUEUE_ON_COMMIT": False}}}


class _Stop(Exception):
    pass


class Promises:
    """What holds in either kind of test case."""

    tasks: CapturedTasks

    def test_what_is_enqueued_in_no_transaction_is_there(self) -> None:
        note.enqueue(1)
        self.tasks.drain()
        assert noted == [1]

    def test_what_a_transaction_commits_is_there(self) -> None:
        with transaction.atomic():
            note.enqueue(1)
            with transaction.atomic():
                note.enqueue(2)
        self.tasks.drain()
        assert noted == [1, 2]

    def test_a_rollback_takes_its_tasks_away(self) -> None:
        with pytest.raises(_Stop), transaction.atomic():
            note.enqueue(1)
            raise _Stop
        self.tasks.assert_nothing_enqueued()
        assert self.tasks.drain() == []

    def test_an_inner_rollback_takes_only_its_own_tasks_away(self) -> None:
        with transaction.atomic():
            note.enqueue(1)
            with pytest.raises(_Stop), transaction.atomic():
                note.enqueue(2)
                raise _Stop
            note.enqueue(3)
        self.tasks.drain()
        assert noted == [1, 3]

    def test_an_outer_rollback_takes_the_inner_ones_too(self) -> None:
        with pytest.raises(_Stop), transaction.atomic():
            with transaction.atomic():
                note.enqueue(1)
            raise _Stop
        self.tasks.assert_nothing_enqueued()

    def test_a_rollback_leaves_what_was_there_under_the_same_key(self) -> None:
        note.enqueue(0)
        broker = note.get_backend().broker
        first, second = (replace(broker.jobs()[0], id=new_id(), once_key="key") for _ in range(2))
        broker.enqueue([first])
        with pytest.raises(_Stop), transaction.atomic():
            assert [job.id for job in broker.enqueue([second])] == [first.id]
            raise _Stop
        assert first.id in broker.get([first.id])

    def test_a_unique_task_that_was_rolled_back_is_not_in_the_way_of_the_next(self) -> None:
        with pytest.raises(_Stop), transaction.atomic():
            note_once.enqueue(1)
            raise _Stop
        result = note_once.enqueue(1)
        self.tasks.assert_enqueued(note_once, args=[1], count=1)
        self.tasks.drain()
        result.refresh()
        assert (noted, result.state) == ([1], TaskStatus.SUCCESS)

    def test_a_workflow_that_was_rolled_back_can_be_started_again(self) -> None:
        flow = TaskChain("two notes", [step(note, 1), step(note, 2)])
        with pytest.raises(_Stop), transaction.atomic():
            flow.start()
            raise _Stop
        flow.start()
        self.tasks.drain()
        assert noted == [1, 2]

    def test_what_was_put_off_in_a_transaction_that_is_rolled_back_is_as_it_was(self) -> None:
        note_last.enqueue(1)
        with pytest.raises(_Stop), transaction.atomic():
            note_last.enqueue(2)
            raise _Stop
        self.tasks.assert_enqueued(note_last, args=[1], count=1)
        note_last.enqueue(3)
        self.tasks.travel(timedelta(seconds=10))
        self.tasks.drain()
        assert noted == [3]

    def test_what_was_cancelled_in_a_transaction_that_is_rolled_back_runs(self) -> None:
        result = note_once.enqueue(1)
        with pytest.raises(_Stop), transaction.atomic():
            assert result.cancel()
            raise _Stop
        assert note_once.enqueue(1).id == result.id
        self.tasks.drain()
        assert noted == [1]

    def test_what_was_cleared_in_a_transaction_that_is_rolled_back_stays_away(self) -> None:
        note.enqueue(1)
        with pytest.raises(_Stop), transaction.atomic():
            self.tasks.clear()
            raise _Stop
        assert self.tasks.drain() == []

    def test_a_savepoint_that_is_rolled_back_by_hand_takes_its_tasks_away(self) -> None:
        with transaction.atomic():
            note.enqueue(1)
            savepoint = connection.savepoint()
            note.enqueue(2)
            with transaction.atomic():
                note.enqueue(3)
            transaction.savepoint_rollback(savepoint)
            note.enqueue(4)
        self.tasks.drain()
        assert noted == [1, 4]

    def test_draining_inside_of_the_transaction_is_refused(self) -> None:
        with transaction.atomic():
            note.enqueue(1)
            with pytest.raises(RuntimeError, match="Drain after the transaction"):
                self.tasks.drain()
        self.tasks.drain()
        assert noted == [1]

    def test_an_atomic_task_runs(self) -> None:
        make_group_atomically.enqueue("a")
        self.tasks.drain()
        assert Group.objects.get().name == "a"

    async def test_coroutines_share_the_transaction(self) -> None:
        await amake_group.aenqueue("a")
        await make_group.aenqueue("b")
        await self.tasks.adrain()
        assert await Group.objects.acount() == 2

    async def test_a_rollback_in_the_thread_of_a_coroutine_counts(self) -> None:
        def roll_back() -> None:
            with pytest.raises(_Stop), transaction.atomic():
                note.enqueue(1)
                raise _Stop

        await sync_to_async(roll_back)()
        await note.aenqueue(2)
        await self.tasks.adrain()
        assert noted == [2]


class TestInTestCase(Promises, CapturedTasksMixin, TestCase):
    def test_a_callback_waits_for_those_who_run_it(self) -> None:
        note.enqueue_on_commit(1)
        assert self.tasks.drain() == []
        assert len(self.tasks.drain(on_commit=True)) == 1
        assert self.tasks.drain(on_commit=True) == []
        assert noted == [1]

    def test_djangos_own_way_to_run_callbacks_is_honoured(self) -> None:
        with self.captureOnCommitCallbacks(execute=True) as callbacks:
            note.enqueue_on_commit(1)
        assert len(callbacks) == 1
        self.tasks.drain()
        assert noted == [1]

    def test_what_is_enqueued_is_no_callback_that_a_test_counts(self) -> None:
        with self.captureOnCommitCallbacks() as callbacks, transaction.atomic():
            note.enqueue(1)
            transaction.on_commit(lambda: None)
        assert len(callbacks) == 1

    def test_callbacks_of_a_task_run_too_where_that_is_wanted(self) -> None:
        note_on_commit.enqueue("from within")
        self.tasks.drain()
        assert noted == []
        self.tasks.drain(on_commit=True)
        assert noted == ["from within"]

    def test_a_task_that_breaks_the_transaction_fails_and_the_test_goes_on(self) -> None:
        Group.objects.create(name="a")
        make_group_once.enqueue("a")
        make_group.enqueue("b")
        ran = self.tasks.drain(raise_failures=False)
        assert [one.state for one in ran] == [TaskStatus.FAILURE, TaskStatus.SUCCESS]
        assert "IntegrityError" in ran[0].errors[-1].traceback and noted == ["a", "a"]
        assert sorted(Group.objects.values_list("name", flat=True)) == ["a", "b"]
        with pytest.raises(IntegrityError), transaction.atomic():
            Group.objects.create(name="a")

    def test_what_such_a_task_has_sent_before_is_sent(self) -> None:
        Group.objects.create(name="a")
        note_and_make_group.enqueue("a")
        self.tasks.drain(raise_failures=False)
        assert noted == ["a"]

    async def test_a_coroutine_that_breaks_it_fails_and_the_test_goes_on(self) -> None:
        await Group.objects.acreate(name="a")
        await amake_group.using().aenqueue("a")
        await self.tasks.adrain(raise_failures=False)
        assert await Group.objects.acount() == 1


@pytest.mark.parametrize("how", ["it fails", "it fails with another error", "it goes on"])
def test_a_broken_transaction_is_mended_on_every_database(database_alias: str, how: str) -> None:
    around_test: Any = transaction.atomic(using=database_alias)
    around_test._from_testcase = True
    with around_test, connections[database_alias].cursor() as cursor:
        ended: BaseException | None = {"it fails": DatabaseError(), "it goes on": None}.get(how, ValueError())
        with savepoints(lambda: ended), suppress(DatabaseError):
            cursor.execute("SELECT * FROM no_such_table")
        cursor.execute("SELECT 1")
        assert cursor.fetchone() == (1,)


class TestInTransactionTestCase(Promises, CapturedTasksMixin, TransactionTestCase):
    def test_callbacks_run_at_the_commit(self) -> None:
        with transaction.atomic():
            note.enqueue_on_commit(1)
            self.tasks.assert_nothing_enqueued()
        self.tasks.assert_enqueued(note, count=1)

    def test_a_transaction_whose_connection_is_closed_takes_its_tasks_away(self) -> None:
        with transaction.atomic():
            note.enqueue(1)
            connection.close()
        self.tasks.assert_nothing_enqueued()

    def test_a_transaction_leaves_the_connection_as_it_was(self) -> None:
        before = dict(vars(connections["default"]))
        for end in (nullcontext(), pytest.raises(_Stop)):
            with end, transaction.atomic():
                note.enqueue(1)
                if not isinstance(end, nullcontext):
                    raise _Stop
        assert vars(connections["default"]).keys() == before.keys()

    def test_what_a_task_enqueues_at_its_commit_is_run(self) -> None:
        note_on_commit.enqueue(1)
        self.tasks.drain()
        assert noted == [1]


@override_settings(TASKS=REDIS)
class TestOnRedis(CapturedTasksMixin, TestCase):
    def test_the_tests_own_transaction_holds_nothing_back(self) -> None:
        note.enqueue(1)
        with transaction.atomic():
            note.enqueue(2)
        self.tasks.drain()
        assert noted == [1, 2]

    def test_a_rollback_takes_its_tasks_away(self) -> None:
        with pytest.raises(_Stop), transaction.atomic():
            note.enqueue(1)
            raise _Stop
        self.tasks.assert_nothing_enqueued()

    def test_a_rollback_leaves_cancelled_what_was(self) -> None:
        result = note.enqueue(1)
        with pytest.raises(_Stop), transaction.atomic():
            assert result.cancel()
            raise _Stop
        assert self.tasks.drain() == []


@override_settings(TASKS=OUTBOX)
class TestOnRedisWithAnOutbox(CapturedTasksMixin, TestCase):
    def test_steps_of_workflows_are_captured_as_other_tasks_are(self) -> None:
        TaskChain("two notes", [step(note, 1), step(note, 2)]).start()
        self.tasks.drain(on_commit=True)
        assert noted == [1, 2] and not OutboxRow.objects.exists()


@override_settings(TASKS=AT_ONCE)
class TestOnRedisAtOnce(CapturedTasksMixin, TestCase):
    def test_a_rollback_comes_too_late(self) -> None:
        with pytest.raises(_Stop), transaction.atomic():
            note.enqueue(1)
            raise _Stop
        self.tasks.drain()
        assert noted == [1]


class TestSetUp(CapturedTasksMixin, TestCase):
    """What a class sets up is there for each of its tests, and what one of them does is not seen by the next."""

    @classmethod
    def setUpTestData(cls) -> None:
        note.enqueue("of the class")

    def setUp(self) -> None:
        note.enqueue("of the test")

    def work(self) -> None:
        assert [one.args for one in self.tasks.enqueued()] == [["of the class"], ["of the test"]]
        note.enqueue("in the test")
        self.tasks.drain()
        assert noted == ["of the class", "of the test", "in the test"]

    def test_one(self) -> None:
        self.work()

    def test_another(self) -> None:
        self.work()


def test_without_a_test_case_and_without_a_database(reinhardt_tasks: CapturedTasks) -> None:
    note.enqueue(1)
    reinhardt_tasks.drain(on_commit=True)
    assert noted == [1]


@pytest.mark.django_db
def test_with_the_fixture_in_a_transaction(
    reinhardt_tasks: CapturedTasks, django_capture_on_commit_callbacks: Any
) -> None:
    with django_capture_on_commit_callbacks(execute=True):
        note.enqueue_on_commit(1)
    make_group.enqueue("a")
    reinhardt_tasks.drain()
    assert noted == [1] and Group.objects.count() == 1
