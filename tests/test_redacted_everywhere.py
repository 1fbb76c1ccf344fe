"""One value in a redacted argument, carried wherever a task can carry it, and looked for at every door that people look through."""

from __future__ import annotations

import io
import json
import logging
import sys
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode
from prometheus_client import CollectorRegistry, generate_latest

from reinhardt_tasks import signals, task
from reinhardt_tasks.contrib.opentelemetry import instrument, uninstrument
from reinhardt_tasks.contrib.prometheus import StoreCollector
from reinhardt_tasks.exceptions import QueueError
from reinhardt_tasks.execution import Execution
from reinhardt_tasks.gates import Limit
from reinhardt_tasks.jobs import Job, Succeeded, TaskStatus, new_id
from reinhardt_tasks.limits import Concurrency, Unique
from reinhardt_tasks.models import ScheduleRow
from reinhardt_tasks.operations import Store
from reinhardt_tasks.redaction import REDACTED
from reinhardt_tasks.schedules import IntervalSchedule
from reinhardt_tasks.scheduling import Scheduler, people
from reinhardt_tasks.scheduling.databases import schedules_database
from reinhardt_tasks.worker.ledger import Ledger
from reinhardt_tasks.worker.logs import JsonFormatter, set_up_logging
from reinhardt_tasks.workflows import Workflow, failure, previous_result, step
from tests.admin.conftest import ALL, chief, site, someone
from tests.admin.pages import url
from tests.backends.working import work_off
from tests.commands.telling import told
from tests.operations import chores
from tests.operations.stores import claim, database_store, redis_store, store, worker

__all__ = ["chief", "database_store", "redis_store", "site", "someone", "store"]

CANARY = "canary-Ä'7\nsings-aloud"
#: What may be left of it by a cut, or on one line of it.
TRACES = ("canary", "sings", "aloud")
#: What a task logs itself goes where the project's LOGGING says, as it is.
OWN = "shop"


def backoff(exc: BaseException, task_result: Any) -> float:
    raise RuntimeError(f"no pause after {exc}") from exc


def carry(context: Any, token: str) -> None:
    """Put a value wherever a task can put one."""
    logging.getLogger(OWN).warning("with %s", token)
    context.metadata["seen"] = {token: [token]}
    context.save_metadata()
    context.progress(1, 2, f"at {token}")


@task(
    redact=["token"],
    takes_context=True,
    max_attempts=2,
    backoff=backoff,
    unique=Unique(key=lambda name, token: f"{name} at {token}"),
    concurrency=Concurrency(1, key="door:{token}"),
)
def break_in(context: Any, name: str, token: str) -> None:
    carry(context, token)
    raise ValueError(f"no door for {token}")


@task(redact=["token"], takes_context=True, max_attempts=1)
async def break_in_later(context: Any, name: str, token: str) -> None:
    context.metadata["odd"] = object()
    raise ValueError(f"no window for {token!r}")


@task(redact=True, takes_context=True)
def walk_in(context: Any, token: str) -> str:
    carry(context, token)
    return token


@task(redact=["token"])
def babble(token: str) -> None:
    """Log it in every way, and let it be."""
    try:
        raise ValueError(f"no gate for {token}")
    except ValueError as exc:
        extra = {"given": {token: token}, "odd": exc}
        logging.getLogger(OWN).exception("at %s", token, extra=extra)


@task
def fetch() -> str:
    """Return the secret itself: what it returns is seen, and only where it returned it."""
    return CANARY


@task(redact=["token"], max_attempts=1)
def spend(token: str) -> None:
    raise ValueError(f"spent {token}")


@task(redact=["what"])
def mourn(what: dict[str, str]) -> str:
    heard.append(what["message"])
    return "sad"


heard: list[str] = []


def leave(task_result: Any, **facts: Any) -> None:
    raise SystemExit(f"enough of {task_result.args}")


def fall(**facts: Any) -> None:
    raise RuntimeError("a receiver failed")


@pytest.fixture
def receivers(spans: InMemorySpanExporter) -> Iterator[None]:
    """Receivers that fail while the task's exception is being handled, each in its way; after those that trace."""
    for signal in (signals.task_finished, signals.task_retried):
        signal.connect(fall)
        signal.connect(leave)
    yield
    for signal in (signals.task_finished, signals.task_retried):
        signal.disconnect(fall)
        signal.disconnect(leave)


@pytest.fixture
def spans() -> Iterator[InMemorySpanExporter]:
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    instrument(provider)
    yield exporter
    uninstrument()
    provider.shutdown()


def assert_nowhere(seen: dict[str, str]) -> None:
    found = {door: text for door, text in seen.items() if any(trace in text for trace in TRACES)}
    assert not found, "\n\n".join(f"--- {door}\n{text[:3000]}" for door, text in found.items())


def commands(*calls: tuple[str, ...]) -> dict[str, str]:
    """Return what subcommands print, in words and as JSON."""
    return {
        " ".join(("tasks", *words, *flags)): "\n".join(told(*words, *flags)[1:])
        for words in calls
        for flags in ((), ("--json",))
    }


def logged(caplog: pytest.LogCaptureFixture) -> dict[str, str]:
    """Return all lines that are not the task's own, as a person and as a machine reads them."""
    records = [record for record in caplog.records if record.name != OWN]
    plain, machine = logging.Formatter(), JsonFormatter()
    return {
        "log": "\n".join(map(plain.format, records)),
        # Python writes JSON with escapes, under which a letter of the value might hide.
        "json log": "\n".join(map(machine.format, records)),
    }


def traced(spans: InMemorySpanExporter) -> dict[str, str]:
    return {"traces": "\n".join(span.to_json() for span in spans.get_finished_spans())}


def paged(client: Client, *addresses: str) -> dict[str, str]:
    pages = {}
    for address in addresses:
        answer = client.get(address, follow=True)
        assert answer.status_code == 200, address
        pages[address] = answer.content.decode()
    return pages


def stored(store: Store, id_: str) -> Job:
    return store.broker.get([id_])[id_]


@pytest.mark.usefixtures("receivers", "site")
def test_what_a_task_makes_of_a_redacted_argument_is_seen_nowhere(
    store: Store, chief: Client, caplog: pytest.LogCaptureFixture, spans: InMemorySpanExporter
) -> None:
    caplog.set_level("DEBUG")
    ids = [
        break_in.enqueue("ada", CANARY).id,
        break_in_later.enqueue("bob", token=CANARY).id,
        walk_in.enqueue(CANARY).id,
    ]
    work_off(store.backend)
    assert stored(store, ids[0]).status is TaskStatus.RETRY
    assert told("run-now", ids[0])[0] == 0
    work_off(store.backend)
    jobs = [stored(store, id_) for id_ in ids]
    # The program has what it needs: it is all there.
    assert CANARY in jobs[0].metadata["seen"] and jobs[0].progress is not None
    assert CANARY in jobs[2].metadata["seen"]
    assert jobs[2].status is TaskStatus.SUCCESS and "sings" in str(jobs[2].result)
    assert all("canary-Ä" in job.history[-1].traceback for job in jobs[:2])
    seen = {
        **commands(
            ("list",),
            ("failures",),
            ("status",),
            ("workers",),
            ("limits",),
            ("check-queue",),
            *(("show", id_) for id_ in ids),
        ),
        **logged(caplog),
        **traced(spans),
        **paged(
            chief,
            url("jobrow_changelist"),
            url("jobrow_tasks"),
            url("jobrow_failures"),
            *(f"{url('jobrow_change', id_)}?backend=default" for id_ in ids),
        ),
        "metrics": metrics(store),
        "repr": repr(jobs),
    }
    assert_nowhere(seen)
    for door in ("tasks failures", f"tasks show {ids[0]}", "log", "json log", "traces"):
        assert f"no door for {REDACTED}" in seen[door], door
    assert REDACTED in seen[f"tasks show {ids[2]}"] and "ada" in seen[f"tasks show {ids[0]}"]
    for words in ("its backoff failed", "metadata could not be saved", "wanted to leave", "for good", "send_robust"):
        assert words in seen["log"], words


@pytest.mark.parametrize("style", ["text", "json"])
def test_a_worker_shows_what_a_task_logged_without_it(
    database_store: Store, style: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = io.StringIO()
    for logger in map(logging.getLogger, ("", "reinhardt_tasks", "django.tasks", "django_tasks")):
        monkeypatch.setattr(logger, "handlers", [])
        monkeypatch.setattr(logger, "level", logger.level)
        monkeypatch.setattr(logger, "propagate", logger.propagate)
    monkeypatch.setattr(sys, "stderr", shown)
    set_up_logging(style, 1)
    id_ = babble.enqueue(CANARY).id
    work_off(database_store.backend)
    assert_nowhere({style: shown.getvalue()})
    (line,) = [line for line in shown.getvalue().splitlines() if f"at {REDACTED}" in line]
    assert id_ in line and f"no gate for {REDACTED}" in shown.getvalue()
    if style == "json":
        facts = json.loads(line)
        assert facts["traceback"].endswith(f"ValueError: no gate for {REDACTED}")
        assert facts["given"] == {REDACTED: REDACTED} and facts["odd"] == f"no gate for {REDACTED}"


def metrics(store: Store) -> str:
    registry = CollectorRegistry()
    registry.register(StoreCollector(store.alias, store.broker))
    return generate_latest(registry).decode()


@pytest.mark.usefixtures("site")
def test_a_workflows_errors_are_seen_without_it_and_handed_on_as_they_are(
    store: Store,
    someone: Callable[..., Client],
    caplog: pytest.LogCaptureFixture,
    spans: InMemorySpanExporter,
) -> None:
    caplog.set_level("DEBUG")
    heard.clear()
    flow = Workflow("burglary")
    given = flow.add(step(break_in_later, "ada", CANARY).named("given").on_failure(step(mourn, failure)))
    fetched = flow.add(step(fetch), after=[given])
    flow.add(step(spend, previous_result).named("spend"), after=[fetched])
    run = flow.start()
    work_off(store.backend)
    steps = {each.name: each for each in run.refresh().steps()}
    assert steps["given"].state == steps["spend"].state == "FAILURE"
    client = someone(*ALL, "view_workflowrow")
    seen = {
        **commands(
            ("workflows", "list"),
            ("workflows", "show", run.id),
            ("failures",),
            *(("show", steps[name].job_id) for name in ("given", "spend")),
        ),
        **logged(caplog),
        **traced(spans),
        **paged(client, url("workflowrow_changelist"), url("workflowrow_change", run.id)),
        "steps": repr(list(steps.values())),
    }
    assert_nowhere(seen)
    # Its arguments are on record, and so is what to take out; what came from another step is in no argument.
    assert steps["given"].error == f'builtins.ValueError: no window for "{REDACTED}"'
    assert steps["spend"].traceback == REDACTED
    assert f"spent {REDACTED}" in seen["log"]
    assert heard == [f"no window for {CANARY!r}"]


def test_what_keeps_a_workflow_from_hearing_of_an_end_is_logged_without_it(
    database_store: Store, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level("DEBUG")

    def fail(*args: Any) -> None:
        raise RuntimeError("no pen")

    monkeypatch.setattr("reinhardt_tasks.workflows.following.record", fail)
    flow = Workflow("burglary")
    flow.add(step(spend, CANARY))
    flow.start()
    work_off(database_store.backend)
    assert_nowhere(logged(caplog))
    assert "could not be told of its end" in caplog.text and f"spent {REDACTED}" in caplog.text


@task(redact=["token"], concurrency=Concurrency(1, key=lambda name, token: name), unique=Unique(key="{name}"))
def stand(name: str, token: str = "none") -> None: ...


@task(redact=["token"], unique=Unique(key="{token}"))
def guard(name: str, token: str = "none") -> None: ...


@task(redact=["token"], unique=Unique(key=lambda name, token: int(token)))
def count(name: str, token: str) -> None: ...


def test_a_key_that_is_made_of_it_is_stored_as_a_hash_and_no_other(store: Store) -> None:
    def keys(chore: Any, *args: Any, **kwargs: Any) -> tuple[Any, ...]:
        (job,) = store.backend.jobs_of(chore, [(args, kwargs)])
        return job.once_key, *(limit.key for limit in job.limits)

    made = keys(break_in, "ada", CANARY)
    assert_nowhere({"keys": repr(made)})
    assert made == keys(break_in, "ada", token=CANARY) != keys(break_in, "ada", "another")
    assert made[0] != keys(break_in, "bob", CANARY)[0] and made[1] == keys(break_in, "bob", CANARY)[1]
    # By chance it has the same letters.
    assert keys(stand, "canary", token="canary") == keys(stand, "canary", token="other")
    assert [key.rpartition(":")[2] for key in keys(stand, "canary", token="canary")] == ["canary"] * 2
    assert keys(guard, "ada") == keys(guard, "ada", "none") and "none" not in repr(keys(guard, "ada"))
    with pytest.raises(TypeError, match="cannot be made of these arguments: ValueError$") as told_of:
        keys(count, "ada", CANARY)
    assert told_of.value.__cause__ is None and told_of.value.__suppress_context__
    with pytest.raises(TypeError, match="not every store can keep") as told_of:
        keys(guard, "ada", f"{CANARY}\x00")
    assert_nowhere({"not to be stored": str(told_of.value)})
    with pytest.raises(TypeError, match="returned int"):
        keys(count, "ada", "20261126")


def test_what_keeps_a_worker_from_telling_an_end_is_logged_without_it(
    database_store: Store, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level("DEBUG")

    def refuse(*args: Any) -> Any:
        raise RuntimeError("no more")

    monkeypatch.setattr(Execution, "_end", refuse)
    id_ = spend.enqueue(CANARY).id
    work_off(database_store.backend)
    assert stored(database_store, id_).status is TaskStatus.FAILURE
    assert_nowhere(logged(caplog))
    assert "its end could not be told" in caplog.text and f"spent {REDACTED}" in caplog.text


def test_a_key_that_was_stored_as_it_is_is_shown_without_it(store: Store) -> None:
    payload, key = json.dumps([["ada", CANARY], {}]), f"door:{CANARY}"
    limit = Limit(key=key, size=1)
    job = Job(id=new_id(), name=break_in.module_path, payload=payload, backend="default", once_key=key, limits=(limit,))
    store.broker.enqueue([job])
    seen = commands(("show", job.id))
    assert_nowhere(seen)
    assert seen[f"tasks show {job.id}"].count(f"door:{REDACTED}") == 2


def test_what_was_stored_and_does_not_fit_is_told_without_it(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    name, id_ = chores.remember.module_path, new_id()
    store.broker.enqueue([Job(id=id_, name=name, payload=json.dumps([["ada", CANARY], {}]), backend="default")])
    kept = ("edit", id_, "--args", json.dumps(["bob", REDACTED]))
    edited = commands(kept)
    assert "is no date" in edited[" ".join(("tasks", *kept))]
    work_off(store.backend)
    assert "canary" in stored(store, id_).history[0].traceback
    assert_nowhere({**edited, **commands(("show", id_), ("list",), ("check-queue",)), **logged(caplog)})


@task(redact=["user"], on_missing="skip")
def greet(user: User) -> None: ...


@pytest.mark.usefixtures("site")
def test_an_instance_that_is_gone_is_not_named(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    stored_user = {"model": "auth.user", "pk": 20261126, "database": "default"}
    job = Job(id=new_id(), name=greet.module_path, payload=json.dumps([[stored_user], {}]), backend="default")
    store.broker.enqueue([job])
    work_off(store.backend)
    assert "is skipped" in caplog.text and "20261126" not in caplog.text


def test_a_schedule_whose_arguments_do_not_fit_says_so_without_it(
    database_store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    people.create("birthday", chores.remember.module_path, IntervalSchedule(timedelta(hours=1)), args=("ada", CANARY))
    past = datetime(2026, 1, 1, tzinfo=UTC)
    ScheduleRow.objects.using(schedules_database()).update(next_slot=past, next_at=past)
    Scheduler().turn()
    row = people.find("birthday")
    assert "is no date" in (row.last_error or "")
    calls = [("schedules", "list"), ("schedules", "show", "birthday"), ("schedules", "run-now", "birthday")]
    assert_nowhere({**commands(*calls), **logged(caplog)})


@pytest.mark.parametrize("exc", [QueueError(f"no room for {CANARY}"), RuntimeError(f"no room for {CANARY}")])
def test_what_a_store_says_of_an_outcome_is_logged_without_it(
    store: Store, caplog: pytest.LogCaptureFixture, exc: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    chores.log_in.using(queue_name="default").enqueue("ada", CANARY)
    outcome = Succeeded(claim=claim(store), result=json.dumps(CANARY))

    def refuse(outcomes: Any) -> Any:
        raise exc

    monkeypatch.setattr(store.broker, "settle", refuse)
    ledger = Ledger(store.broker, worker(), threading.Condition(), None)
    for _time in range(3):
        try:
            ledger.settle([outcome])
        except Exception as raised:
            ledger.put_off([outcome], raised)
    ledger.settle_last()
    assert_nowhere({**logged(caplog), "outcome": repr(outcome)})
    for words in ("did not answer", "refused the outcome", "could not be settled"):
        assert words in caplog.text


def test_a_trace_of_what_could_not_be_enqueued_tells_no_more_than_that(spans: InMemorySpanExporter) -> None:
    with pytest.raises(TypeError):
        count.enqueue("ada", CANARY)
    (span,) = spans.get_finished_spans()
    assert span.attributes is not None and span.attributes["error.type"] == "builtins.TypeError"
    assert not span.events and span.status.status_code is StatusCode.ERROR
