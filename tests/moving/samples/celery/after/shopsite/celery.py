raise ImportError("Celery is gone.")
