"""The project package of the census site."""

from __future__ import annotations

import sys
from pathlib import Path

# A checkout runs as it is: the repository's root comes last, so that an installed reinhardt_tasks is found first.
sys.path.append(str(Path(__file__).resolve().parents[2]))
