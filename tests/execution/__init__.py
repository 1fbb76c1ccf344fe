"""One job on its way to its outcome, without a worker: nothing that a task does leaves an Execution as an exception."""
