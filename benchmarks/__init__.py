"""What a task costs here and elsewhere, measured side by side: `python -m benchmarks --help`."""
