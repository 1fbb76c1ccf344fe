"""Traces: one from the caller over `enqueue()` to every run of the task, whichever way it took."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from contextvars import ContextVar
from typing import Any

import pytest
from django.db import transaction
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from reinhardt_tasks import carriers, task
from reinhardt_tasks._compat import task_backends
from reinhardt_tasks.carriers import travels
from reinhardt_tasks.contrib.opentelemetry import instrument, uninstrument
from reinhardt_tasks.exceptions import Retry
from tests.backends.redis_doors import Door, door
from tests.backends.working import work_off

__all__ = ["door"]

HERE = __name__


@task(queue_name="sums")
def add(a: int, b: int = 1) -> int:
    return a + b


@task
async def add_later(a: int) -> int:
    with trace.get_tracer("test", tracer_provider=provider).start_as_current_span("inside"):
        await asyncio.sleep(0)
    return a


@task(takes_context=True, max_attempts=2)
def fail_once(context: Any) -> None:
    if context.attempt == 1:
        raise Retry("not yet", in_=0)


@task(max_attempts=1)
def fail() -> None:
    raise ValueError("no such thing")


@task(max_attempts=1)
def fail_in_lines() -> None:
    raise ValueError("import failed:\nline 3 is no date")


@task
def pass_on() -> None:
    add.enqueue(1)


provider = TracerProvider()


@pytest.fixture
def spans() -> Iterator[InMemorySpanExporter]:
    exporter = InMemorySpanExporter()
    processor = SimpleSpanProcessor(exporter)
    provider.add_span_processor(processor)
    instrument(provider)
    yield exporter
    uninstrument()
    processor.shutdown()


@pytest.fixture
def backend(sqlite_database: str, django_db_blocker: Any, settings: Any) -> Iterator[Any]:
    from tests.databases import emptied

    with django_db_blocker.unblock():
        emptied(sqlite_database)
        settings.TASKS = {
            "default": {
                "BACKEND": "reinhardt_tasks.backends.DatabaseBackend",
                "QUEUES": [],
                "OPTIONS": {"DATABASE": sqlite_database},
            }
        }
        yield task_backends["default"]
        task_backends["default"].broker.close()


def named(exporter: InMemorySpanExporter, name: str) -> list[ReadableSpan]:
    return [span for span in exporter.get_finished_spans() if span.name == name]


def one(exporter: InMemorySpanExporter, name: str) -> ReadableSpan:
    (span,) = named(exporter, name)
    return span


def as_caller() -> Any:
    return trace.get_tracer("test", tracer_provider=provider).start_as_current_span("request")


def test_one_trace_goes_from_the_caller_to_the_run(spans: InMemorySpanExporter, backend: Any) -> None:
    with as_caller():
        result = add.enqueue(1)
    work_off(backend)
    request, enqueued, ran = (one(spans, name) for name in ("request", f"enqueue {HERE}.add", f"run {HERE}.add"))
    assert {span.context.trace_id for span in (enqueued, ran)} == {request.context.trace_id}
    assert enqueued.parent == request.context
    assert ran.parent is not None
    assert ran.parent.span_id == ran.links[0].context.span_id == enqueued.context.span_id
    assert (enqueued.kind, ran.kind) == (SpanKind.PRODUCER, SpanKind.CONSUMER)
    assert enqueued.attributes == {
        "messaging.system": "reinhardt_tasks",
        "messaging.destination.name": "sums",
        "messaging.operation.name": "enqueue",
        "messaging.operation.type": "send",
        "messaging.message.id": result.id,
        "reinhardt_tasks.task": f"{HERE}.add",
    }
    result.refresh()
    assert ran.attributes == {
        "messaging.system": "reinhardt_tasks",
        "messaging.destination.name": "sums",
        "messaging.operation.name": "run",
        "messaging.operation.type": "process",
        "messaging.message.id": result.id,
        "messaging.client.id": result.worker_ids[0],
        "reinhardt_tasks.task": f"{HERE}.add",
        "reinhardt_tasks.attempt": 1,
        "reinhardt_tasks.state": "SUCCESS",
    }
    assert ran.status.status_code is StatusCode.UNSET


def test_spans_of_a_coroutine_lie_under_its_run(spans: InMemorySpanExporter, backend: Any) -> None:
    asyncio.run(add_later.aenqueue(1))
    work_off(backend)
    inside, ran = one(spans, "inside"), one(spans, f"run {HERE}.add_later")
    assert inside.parent == ran.context
    assert ran.parent is not None
    assert ran.parent.span_id == one(spans, f"enqueue {HERE}.add_later").context.span_id


def test_a_task_that_a_task_enqueues_continues_the_trace(spans: InMemorySpanExporter, backend: Any) -> None:
    pass_on.enqueue()
    work_off(backend)
    first, ran = one(spans, f"enqueue {HERE}.pass_on"), one(spans, f"run {HERE}.add")
    assert one(spans, f"enqueue {HERE}.add").parent == one(spans, f"run {HERE}.pass_on").context
    assert ran.context.trace_id == first.context.trace_id


def test_each_attempt_is_a_span_that_leads_back_to_the_enqueueing(spans: InMemorySpanExporter, backend: Any) -> None:
    fail_once.enqueue()
    work_off(backend)
    enqueued = one(spans, f"enqueue {HERE}.fail_once")
    first, second = named(spans, f"run {HERE}.fail_once")
    for span in (first, second):
        assert [link.context.span_id for link in span.links] == [enqueued.context.span_id]
        assert span.context.trace_id == enqueued.context.trace_id
    assert [span.attributes["reinhardt_tasks.attempt"] for span in (first, second)] == [1, 2]
    assert [span.attributes["reinhardt_tasks.state"] for span in (first, second)] == ["RETRY", "SUCCESS"]
    assert [span.status.status_code for span in (first, second)] == [StatusCode.ERROR, StatusCode.UNSET]
    assert first.attributes["error.type"] == "reinhardt_tasks.exceptions.Retry"
    assert second.events == ()


def test_a_failure_is_recorded(spans: InMemorySpanExporter, backend: Any) -> None:
    fail.enqueue()
    work_off(backend)
    ran = one(spans, f"run {HERE}.fail")
    assert ran.attributes["reinhardt_tasks.state"] == "FAILURE"
    assert ran.attributes["error.type"] == "builtins.ValueError"
    assert (ran.status.status_code, ran.status.description) == (StatusCode.ERROR, "ValueError: no such thing")
    (event,) = ran.events
    assert event.name == "exception"
    assert event.attributes["exception.type"] == "builtins.ValueError"
    assert event.attributes["exception.message"] == "no such thing"
    assert "in fail\n" in event.attributes["exception.stacktrace"]


def test_of_a_message_of_several_lines_the_first_is_told(spans: InMemorySpanExporter, backend: Any) -> None:
    fail_in_lines.enqueue()
    work_off(backend)
    ran = one(spans, f"run {HERE}.fail_in_lines")
    assert ran.status.description == "ValueError: import failed:"
    assert ran.events[0].attributes["exception.message"] == "import failed:"


def test_an_enqueue_that_is_refused_is_recorded(spans: InMemorySpanExporter, backend: Any) -> None:
    with pytest.raises(TypeError):
        add.enqueue()
    enqueued = one(spans, f"enqueue {HERE}.add")
    assert enqueued.status.status_code is StatusCode.ERROR
    assert [event.name for event in enqueued.events] == ["exception"]


def test_many_at_once_are_one_span_and_a_run_each(spans: InMemorySpanExporter, backend: Any) -> None:
    add.enqueue_many([((number,), {}) for number in range(3)])
    work_off(backend)
    enqueued = one(spans, f"enqueue {HERE}.add")
    assert enqueued.attributes["messaging.batch.message_count"] == 3
    assert "messaging.message.id" not in enqueued.attributes
    ran = named(spans, f"run {HERE}.add")
    assert [span.parent.span_id for span in ran if span.parent] == [enqueued.context.span_id] * 3


def test_what_is_sent_at_the_commit_belongs_to_its_enqueueing(
    spans: InMemorySpanExporter, door: Door, backend: Any
) -> None:
    redis = door(DATABASE=backend.database)
    with transaction.atomic(using=backend.database):
        with as_caller():
            add.enqueue(1)
            asyncio.run(add.aenqueue(2))
        assert len(named(spans, f"enqueue {HERE}.add")) == 2
    work_off(redis)
    request = one(spans, "request")
    for span in named(spans, f"run {HERE}.add"):
        assert span.context.trace_id == request.context.trace_id
    assert len(named(spans, f"run {HERE}.add")) == 2


def test_an_immediate_task_has_both_spans_too(spans: InMemorySpanExporter, settings: Any) -> None:
    settings.TASKS = {"default": {"BACKEND": "reinhardt_tasks.backends.ImmediateBackend", "QUEUES": []}}
    with as_caller():
        fail.enqueue()
        assert trace.get_current_span().get_span_context().is_valid
    enqueued, ran = one(spans, f"enqueue {HERE}.fail"), one(spans, f"run {HERE}.fail")
    assert ran.parent is not None
    assert ran.parent.span_id == enqueued.context.span_id
    assert ran.status.status_code is StatusCode.ERROR
    assert not trace.get_current_span().get_span_context().is_valid


def test_a_traceparent_that_a_caller_gives_without_opentelemetry_is_continued(backend: Any, spans: Any) -> None:
    uninstrument()
    traceparent: ContextVar[str | None] = ContextVar("traceparent", default=None)
    carrier = travels(traceparent)
    token = traceparent.set("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
    add.enqueue(1)
    traceparent.reset(token)
    carriers.remove_carrier(carrier)
    instrument(provider)
    work_off(backend)
    ran = one(spans, f"run {HERE}.add")
    assert f"{ran.context.trace_id:032x}" == "0af7651916cd43dd8448eb211c80319c"
    assert ran.parent is not None
    assert f"{ran.parent.span_id:016x}" == "b7ad6b7169203331"


@pytest.mark.parametrize("value", ["garbage", 5, None, ["00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"]])
def test_a_traceparent_that_is_none_begins_a_trace(backend: Any, spans: Any, value: Any) -> None:
    uninstrument()
    given: ContextVar[Any] = ContextVar("given", default="")
    carrier = travels(given, "traceparent")
    token = given.set(value)
    add.enqueue(1)
    given.reset(token)
    carriers.remove_carrier(carrier)
    instrument(provider)
    work_off(backend)
    ran = one(spans, f"run {HERE}.add")
    assert (ran.parent, list(ran.links)) == (None, [])


def test_instrumenting_twice_traces_once(spans: InMemorySpanExporter, backend: Any) -> None:
    instrument(provider)
    add.enqueue(1)
    work_off(backend)
    assert len(spans.get_finished_spans()) == 2
    uninstrument()
    uninstrument()
    add.enqueue(1)
    work_off(backend)
    assert len(spans.get_finished_spans()) == 2


def test_without_opentelemetry_it_says_what_to_install() -> None:
    code = "import sys; sys.modules['opentelemetry'] = None; import reinhardt_tasks.contrib.opentelemetry"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert "pip install opentelemetry-api, or" in done.stderr
