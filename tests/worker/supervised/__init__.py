"""An app that `runworker --processes` has in the tests: tasks that no process survives, and a supervisor of less patience."""
