"""Django's own tests of its task API, run with our dummy and immediate backends in the place of Django's."""
