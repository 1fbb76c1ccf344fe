"""Tasks that run in one transaction with the record of their success."""

from __future__ import annotations

from ..brokers.base import Broker
from ..exceptions import ExecutionFailed
from ..execution import Execution
from ..jobs import Outcome, Released, Succeeded


class _RollBack(Exception):
    """Leaves the transaction of an atomic task without its success."""


def run_atomically(execution: Execution, broker: Broker) -> Outcome | None:
    """Run a task in one transaction with the record of its success; return None where that is settled.

    Its success is told when it is committed, and only then. Where the store was away before the task began, that is no
    attempt of the task.
    """
    outcome: Outcome | None = None
    execution.holds_success_back = True
    try:
        execution.in_transaction = True
        try:
            with broker.transaction():
                outcome = execution.run()
                if not isinstance(outcome, Succeeded):
                    raise _RollBack
                if broker.settle([outcome]):
                    # Somebody else holds this task by now: its effects are theirs to make. Its fence refuses our success again.
                    raise _RollBack
        finally:
            execution.in_transaction = False
    except _RollBack:
        return outcome if outcome is None or isinstance(outcome, Succeeded) else execution.follow(outcome)
    except NotImplementedError as exc:
        return execution.fail(ExecutionFailed(f"atomic=True needs a database backend: {exc}"), is_final=True)
    except Exception as exc:
        if execution.began_at is None:
            return Released(claim=execution.claim)
        # The commit failed, or its answer was lost. If it did happen, what follows here is refused by its fence.
        return execution.fail(exc)
    execution.tell_success()
    # To those whose records lie in another database; others have it on record already.
    execution.follow(outcome)
    return None
