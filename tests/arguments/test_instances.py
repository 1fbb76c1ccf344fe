"""Model instances as arguments: stored as references, fetched when the task runs, and a rule for those that are gone."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any

import pytest
from django.contrib.auth.models import Group, Permission, User

from reinhardt_tasks import InstanceMissing, SerializationFailed
from reinhardt_tasks.jobs import TaskStatus
from reinhardt_tasks.testing import CapturedTasks, TasksFailed

from . import chores
from .chores import got

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def nothing_got() -> None:
    got.clear()


def test_an_instance_is_a_reference_and_comes_back_fresh(reinhardt_tasks: CapturedTasks) -> None:
    group = Group.objects.create(name="before")
    result = chores.group.enqueue(group)
    assert result.args == [{"model": "auth.group", "pk": group.pk, "database": "default"}]
    reinhardt_tasks.assert_enqueued(chores.group, args=[group])
    Group.objects.update(name="after")
    reinhardt_tasks.drain()
    assert got == [group] and got[0].name == "after"


class _Replicas:
    def db_for_read(self, model: Any, **hints: Any) -> str:
        return "replica"

    def db_for_write(self, model: Any, **hints: Any) -> str:
        return "default"


def test_one_that_was_read_from_a_replica_is_fetched_where_it_is_written(
    reinhardt_tasks: CapturedTasks, settings: Any
) -> None:
    group = Group.objects.create(name="a")
    group._state.db = "replica"
    assert chores.group.enqueue(group).args[0]["database"] == "replica"
    reinhardt_tasks.clear()
    settings.DATABASE_ROUTERS = [_Replicas()]
    assert chores.group.enqueue(group).args[0]["database"] == "default"
    reinhardt_tasks.drain()
    assert got == [group]


def test_it_may_wait_for_a_commit(reinhardt_tasks: CapturedTasks) -> None:
    group = Group.objects.create(name="a")
    chores.group.enqueue_on_commit(group)
    with pytest.raises(SerializationFailed, match="is an int"):
        chores.group.enqueue_on_commit(5)
    reinhardt_tasks.drain(on_commit=True)
    assert got == [group]


def test_one_that_is_deleted_before_the_commit_is_missed_by_its_task_alone(reinhardt_tasks: CapturedTasks) -> None:
    group = Group.objects.create(name="a")
    chores.group.enqueue_on_commit(group)
    group.delete()
    (result,) = reinhardt_tasks.drain(on_commit=True, raise_failures=False)
    assert result.errors[-1].exception_class is InstanceMissing


def test_instances_inside_of_other_values_are_fetched_too(reinhardt_tasks: CapturedTasks) -> None:
    some = [Group.objects.create(name=name) for name in "ab"]
    chores.groups.enqueue(some)
    chores.groups.enqueue(None)
    reinhardt_tasks.drain()
    assert got == [some, None]


def test_an_abstract_model_takes_what_inherits_from_it(reinhardt_tasks: CapturedTasks) -> None:
    user = User.objects.create_user("ada")
    chores.user.enqueue(user)
    reinhardt_tasks.drain()
    assert got == [user] and type(got[0]) is User


@pytest.mark.parametrize(
    ("it", "value", "words"),
    [
        (chores.group, Group(name="a"), "is a Group that is not saved"),
        (chores.group, Group(pk=5, name="a"), "is a Group that is not saved"),
        (chores.group, Permission(pk=1), "is a Permission, where its annotation asks for Group"),
        (chores.group, 5, "is an int, where its annotation asks for Group"),
        (chores.untyped, Group(pk=5), "Or annotate the parameter with Group"),
    ],
)
def test_what_cannot_be_fetched_is_refused(reinhardt_tasks: CapturedTasks, it: Any, value: Any, words: str) -> None:
    with pytest.raises(SerializationFailed, match=words):
        it.enqueue(value)
    reinhardt_tasks.assert_nothing_enqueued()


@pytest.mark.parametrize("it", [chores.group, chores.group_atomically])
def test_a_task_whose_instance_is_gone_fails_at_once(reinhardt_tasks: CapturedTasks, it: Any) -> None:
    group = Group.objects.create(name="a")
    it.enqueue(group)
    pk = group.pk
    group.delete()
    with pytest.raises(
        TasksFailed, match=rf"after 1 attempt: .*auth.Group {pk} is not in the database 'default'"
    ) as caught:
        reinhardt_tasks.drain()
    assert isinstance(caught.value.__cause__, InstanceMissing)
    assert got == []


def test_or_succeeds_without_it_where_that_is_wanted(
    reinhardt_tasks: CapturedTasks, caplog: pytest.LogCaptureFixture
) -> None:
    group = Group.objects.create(name="a")
    chores.group_or_nothing.enqueue(group)
    group.delete()
    [ran] = reinhardt_tasks.drain()
    assert (ran.state, ran.return_value, ran.errors) == (TaskStatus.SUCCESS, None, [])
    assert got == [] and "is skipped: auth.Group" in caplog.text


def test_a_store_that_is_away_is_tried_again(reinhardt_tasks: CapturedTasks, monkeypatch: pytest.MonkeyPatch) -> None:
    chores.group.enqueue(Group.objects.create(name="a"))
    from django.db import OperationalError

    def away(*args: Any, **kwargs: Any) -> Any:
        monkeypatch.undo()
        raise OperationalError("away")

    monkeypatch.setattr(type(Group._base_manager), "using", away)
    [ran] = reinhardt_tasks.drain()
    assert (ran.state, ran.attempts) == (TaskStatus.SUCCESS, 2)


@pytest.mark.django_db(transaction=True)
def test_a_coroutine_is_given_its_instance(reinhardt_tasks: CapturedTasks) -> None:
    async def work() -> Group:
        group = await Group.objects.acreate(name="a")
        await chores.agroup.aenqueue(group, datetime(2026, 1, 1, tzinfo=UTC))
        await reinhardt_tasks.adrain()
        return group

    group = asyncio.run(work())
    assert got == [(group, datetime(2026, 1, 1, tzinfo=UTC))]
