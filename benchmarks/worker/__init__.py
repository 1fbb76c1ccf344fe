"""How the worker itself does: its processes, its coroutines, its memory, and how soon it begins. `python -m benchmarks.worker`."""
