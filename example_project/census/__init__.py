"""A census of a Python source tree: one background task per file."""
