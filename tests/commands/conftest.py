from tests.worker.supervised.fixtures import go, lines, setting

__all__ = ["go", "lines", "setting"]
