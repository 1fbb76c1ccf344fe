"""What needs more than Django and redis-py: each module here has an extra of its name."""
