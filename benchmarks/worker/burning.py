"""Work for a processor, without Django: what a task does, and what bare processes do for comparison."""

from __future__ import annotations


def compute(loops: int) -> int:
    """Use a processor, in Python code only."""
    total = 0
    for number in range(loops):
        total += number * number % 7
    return total
