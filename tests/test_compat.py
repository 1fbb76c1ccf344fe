"""Which task API there is, and what is said where there is none."""

from __future__ import annotations

import subprocess
import sys

import django
import pytest


@pytest.mark.skipif(django.VERSION >= (6, 0), reason="This Django has a task API of its own.")
def test_without_the_backport_it_says_what_any_index_has() -> None:
    code = "import sys; sys.modules['django_tasks'] = None; import reinhardt_tasks._compat"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert "pip install 'django-tasks>=0.12'" in done.stderr
