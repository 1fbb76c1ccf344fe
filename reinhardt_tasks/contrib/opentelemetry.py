"""Traces by OpenTelemetry: a span where a task is enqueued, one for each of its runs, in one trace across processes.

```python
from reinhardt_tasks.contrib.opentelemetry import instrument

instrument()
```

In code that web and worker processes both run, such as an `AppConfig.ready()`. Needs the extra `opentelemetry`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from typing import Any

try:
    from opentelemetry import propagate, trace
    from opentelemetry.context import Context
    from opentelemetry.trace import Link, Span, SpanKind, Status, StatusCode, Tracer, TracerProvider
except ModuleNotFoundError as exc:
    raise ModuleNotFoundError(
        f"Traces need OpenTelemetry ({exc}): pip install opentelemetry-api, or this package with its extra 'opentelemetry'."
    ) from exc

from .. import __version__, signals
from .._compat import CoreTask
from ..carriers import Carrier, add_carrier, remove_carrier
from ..contexts import get_current_context
from ..exception_text import class_path
from ..redaction import call_cleaner, hides
from ..tracebacks import exception_line

SYSTEM = "reinhardt_tasks"

_enqueueing: ContextVar[Span | None] = ContextVar("reinhardt_tasks_enqueueing", default=None)
_running: ContextVar[Span | None] = ContextVar("reinhardt_tasks_running", default=None)
_traces: _Traces | None = None


def instrument(tracer_provider: TracerProvider | None = None) -> None:
    """Trace tasks from now on, by `tracer_provider` or the global one. A second call takes the place of the first."""
    global _traces
    uninstrument()
    _traces = _Traces(trace.get_tracer(SYSTEM, __version__, tracer_provider))
    add_carrier(_traces)
    signals.task_enqueued.connect(_tell_id, dispatch_uid=__name__)
    signals.task_finished.connect(_tell_end, dispatch_uid=__name__)
    signals.task_retried.connect(_tell_end, dispatch_uid=__name__)


def uninstrument() -> None:
    """Trace tasks no more."""
    global _traces
    if _traces is not None:
        remove_carrier(_traces)
        _traces = None
    for signal in (signals.task_enqueued, signals.task_finished, signals.task_retried):
        signal.disconnect(dispatch_uid=__name__)


class _Traces(Carrier):
    """Names and attributes follow OpenTelemetry's conventions for messaging."""

    def __init__(self, tracer: Tracer) -> None:
        self._tracer = tracer

    def __repr__(self) -> str:
        return "a trace"

    @contextmanager
    def enqueueing(self, task: CoreTask, number: int) -> Iterator[None]:
        attributes: dict[str, Any] = {
            **_common(task, "enqueue", "send"),
            **({"messaging.batch.message_count": number} if number != 1 else {}),
        }
        # What is raised here may repeat the arguments, or what a database says of the row that it refused.
        tells = not hides(task)
        with self._tracer.start_as_current_span(
            f"enqueue {task.module_path}",
            kind=SpanKind.PRODUCER,
            attributes=attributes,
            record_exception=tells,
            set_status_on_exception=tells,
        ) as span:
            token = _enqueueing.set(span if number == 1 else None)
            try:
                yield
            except Exception as exc:
                if not tells:
                    span.set_attribute("error.type", class_path(type(exc)))
                    span.set_status(Status(StatusCode.ERROR))
                raise
            finally:
                _enqueueing.reset(token)

    def pack(self) -> Mapping[str, Any]:
        headers: dict[str, str] = {}
        propagate.inject(headers)
        return headers

    def unpack(self, headers: Mapping[str, Any]) -> AbstractContextManager[None]:
        return self._run(propagate.extract({name: text for name, text in headers.items() if isinstance(text, str)}))

    @contextmanager
    def _run(self, origin: Context) -> Iterator[None]:
        context = get_current_context()
        assert context is not None
        result = context.task_result
        attributes: dict[str, Any] = {
            **_common(result.task, "run", "process"),
            "messaging.message.id": result.id,
            "messaging.client.id": result.worker_ids[-1] if result.worker_ids else "",
            "reinhardt_tasks.attempt": context.attempt,
        }
        enqueued = trace.get_current_span(origin).get_span_context()
        with self._tracer.start_as_current_span(
            f"run {result.task.module_path}",
            context=origin,
            kind=SpanKind.CONSUMER,
            attributes=attributes,
            links=[Link(enqueued)] if enqueued.is_valid else [],
        ) as span:
            token = _running.set(span)
            try:
                yield
            finally:
                _running.reset(token)


def _common(task: CoreTask, operation: str, kind: str) -> dict[str, Any]:
    return {
        "messaging.system": SYSTEM,
        "messaging.destination.name": task.queue_name,
        "messaging.operation.name": operation,
        "messaging.operation.type": kind,
        "reinhardt_tasks.task": task.module_path,
    }


def _tell_id(task_result: Any, **facts: Any) -> None:
    # Not where a commit sends the task: its span is over by then.
    if (span := _enqueueing.get()) is not None:
        span.set_attribute("messaging.message.id", task_result.id)


def _tell_end(task_result: Any, **facts: Any) -> None:
    span = _running.get()
    if span is None:
        return
    span.set_attribute("reinhardt_tasks.state", str(task_result.state))
    if not task_result.errors or task_result.state.name == "SUCCESS":
        return
    # The error as it is recorded: where a task was stopped, what it raised is not why.
    error = task_result.errors[-1]
    traceback = call_cleaner(task_result.task, task_result.args, task_result.kwargs)(error.traceback)
    words = exception_line(traceback)
    span.add_event(
        "exception",
        {
            "exception.type": error.exception_class_path,
            "exception.message": words.partition(": ")[2],
            "exception.stacktrace": traceback,
        },
    )
    span.set_attribute("error.type", error.exception_class_path)
    span.set_status(Status(StatusCode.ERROR, words))
