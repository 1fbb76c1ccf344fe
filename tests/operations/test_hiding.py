"""Tasks as those see them who may not see arguments, and groups of failures acted on as a whole."""

from __future__ import annotations

import json
from dataclasses import replace

from reinhardt_tasks import LogLine
from reinhardt_tasks.jobs import Failed, Progress, Retrying, Succeeded, TaskStatus
from reinhardt_tasks.log_lines import AttemptLog, encode_log
from reinhardt_tasks.operations import RETRY, Store, act_on_group, view
from reinhardt_tasks.operations.facts import log_as_json

from . import chores
from .stores import attempt, claim, fail, logged, status_of

SECRET = "20261126"


def test_without_arguments_nothing_is_told_that_is_made_of_them(store: Store) -> None:
    chores.add.using(metadata={"order": SECRET}).enqueue(int(SECRET), b=int(SECRET))
    one = claim(store)
    store.broker.annotate(one, {"order": SECRET}, Progress(1, 2, f"at {SECRET}"))
    trace = attempt(one, traceback=f"ValueError: {SECRET}")
    store.broker.settle([Failed(claim=one, attempt=trace, log=logged(one, f"at {SECRET}", f"cut in {SECRET[:5]}…"))])
    failed = view(store.broker.get([one.job.id])[one.job.id], with_arguments=False)
    assert SECRET not in str(failed.as_json()) + str(log_as_json(failed)) + repr(failed)
    assert [line.message for line in failed.log] == ["at [redacted]", "cut in [redacted]…"]
    assert failed.progress == (1, 2) and failed.call.args == ["[redacted]"]
    assert "ValueError: [redacted]" in failed.attempts[0].traceback
    seen = str(view(store.broker.get([one.job.id])[one.job.id]).as_json())
    assert seen.count(SECRET) >= 4
    assert view(store.broker.get([one.job.id])[one.job.id]).log[0].message == f"at {SECRET}"


def test_without_arguments_no_result_is_told(store: Store) -> None:
    chores.add.enqueue(1)
    one = claim(store)
    store.broker.settle([Succeeded(claim=one, result=SECRET)])
    job = store.broker.get([one.job.id])[one.job.id]
    assert view(job, with_arguments=False).result is None and view(job).result == SECRET


def test_of_a_task_whose_arguments_cannot_be_read_nothing_is_told_that_may_be_made_of_them(store: Store) -> None:
    for chore in (chores.log_in, chores.add):
        chore.using(queue_name="default").enqueue("ada", SECRET)
        one = claim(store)
        store.broker.annotate(one, {}, Progress(1, 2, f"at {SECRET}"))
        log = logged(one, f"in {SECRET}")
        store.broker.settle([Retrying(claim=one, attempt=attempt(one, traceback=f"ValueError: {SECRET}"), log=log)])
        again = claim(store)
        store.broker.settle([Succeeded(claim=again, result=json.dumps(SECRET), log=logged(again, f"in {SECRET}"))])
        job = replace(store.broker.get([one.job.id])[one.job.id], payload="damaged")
        for with_arguments in (True, False):
            seen = view(job, with_arguments=with_arguments)
            is_told = chore is chores.add and with_arguments
            assert seen.progress is not None and (SECRET in str(seen.progress.message)) == is_told
            assert (SECRET in str(seen.as_json())) == (SECRET in str(log_as_json(seen))) == is_told
        hidden = view(job, with_arguments=False)
        assert [line.message for line in hidden.log] == ["[redacted]"] * 2
        assert (hidden.attempts[0].exception_line, hidden.progress) == ("[redacted]", (1, 2))


def test_a_loggers_name_tells_no_argument_either(store: Store) -> None:
    chores.log_in.using(queue_name="default").enqueue("ada", SECRET)
    one = claim(store)
    assert one.job.started_at is not None
    line = LogLine(one.job.started_at, "INFO", f"shop.{SECRET}", "hello")
    store.broker.settle([Succeeded(claim=one, log=encode_log(AttemptLog(1, (line,))))])
    (seen,) = view(store.broker.get([one.job.id])[one.job.id]).log
    assert seen.logger == "shop.[redacted]"


def test_a_group_is_acted_on_as_a_whole_and_no_other(store: Store) -> None:
    ids: dict[str, list[str]] = {"one": [], "other": []}
    for number in range(6):
        chores.add.enqueue(number)
        place = "one" if number % 2 else "other"
        ids[place].append(fail(store, traceback=f'  File "{place}.py", line 9, in y\nValueError: no'))
    name, exception = chores.add.module_path, "builtins.ValueError"
    steps = list(act_on_group(store, RETRY, name=name, exception=exception, place="one.py:9 in y"))
    assert sorted(id_ for step in steps for id_ in step.done.took) == sorted(ids["one"])
    assert {status_of(store, id_) for id_ in ids["one"]} == {TaskStatus.PENDING}
    assert {status_of(store, id_) for id_ in ids["other"]} == {TaskStatus.FAILURE}
