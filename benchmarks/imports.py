"""What being installed adds to the start of a process, and a first `enqueue()` after it: `python -m benchmarks.imports`.

Processor time, since a start is nothing else, and others on the machine do not count.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
from collections import Counter
from statistics import median

from tests.light_site import STEPS

from .reports import machine

_SAYS = {
    "django": "`django.setup()`, without us",
    "installed": "the same, with `reinhardt_tasks` installed",
    "enqueued": "the same, and one task is enqueued in a database",
}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.imports", description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    options = parser.parse_args()
    # As pip does with what it installs; a checkout may have no bytecode, and Python may be told to leave none.
    subprocess.run([sys.executable, "-m", "compileall", "-q", "reinhardt_tasks"], check=True)
    found: dict[str, list[tuple[float, int]]] = {step: [] for step in STEPS}
    for _ in range(options.rounds):
        for step in STEPS:
            told = json.loads(_run(step).stdout)
            found[step].append((told["ms"], len(told["modules"])))
    print(f"# Imports\n\n{machine()}\n\n| step | CPU, ms | modules |\n|---|--:|--:|")
    for step, looks in found.items():
        times = sorted(ms for ms, _ in looks)
        print(f"| {_SAYS[step]} | **{median(times):.0f}** ({times[0]:.0f} – {times[-1]:.0f}) | {looks[0][1]} |")
    print("\n| library | its own modules in the last step, ms by the clock |\n|---|--:|")
    for library, microseconds in _own_times().most_common(8):
        print(f"| {library} | {microseconds / 1000:.0f} |")


def _run(step: str, *flags: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *flags, "-m", "tests.light_site", step], capture_output=True, text=True, check=True
    )


def _own_times() -> Counter[str]:
    """Return what Python says of the time that each library's modules take, without what they import."""
    times: Counter[str] = Counter()
    for own, name in re.findall(
        r"^import time: +(\d+) \| +\d+ \| +([\w.]+)$", _run("enqueued", "-X", "importtime").stderr, re.M
    ):
        library = name.partition(".")[0]
        times["Python's own" if library in sys.stdlib_module_names else library] += int(own)
    return times


if __name__ == "__main__":
    main()
