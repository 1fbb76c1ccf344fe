"""Where our backends differ from Django's on purpose, so that a test of Django's fails: its name, and why."""

from __future__ import annotations

_REFUSAL = (
    "It wants Django's own words, 'Unsupported type'. Ours name the place in the arguments, what stands there and what to "
    "pass in its stead."
)

DIFFERENCES = {
    "tasks.test_tasks.TaskTestCase.test_enqueue_with_invalid_argument": _REFUSAL,
    "tasks.test_tasks.TaskTestCase.test_aenqueue_with_invalid_argument": _REFUSAL,
    "tasks.test_immediate_backend.ImmediateBackendTestCase.test_complex_return_value": (
        "It wants the exception to be TypeError itself. Ours is SerializationFailed, as on every other backend."
    ),
}
