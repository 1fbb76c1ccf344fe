"""The subcommands of `manage.py tasks`. Each parses, calls `reinhardt_tasks.operations`, and prints."""
