"""The manual against the code, as far as it has to be run: examples, settings, commands, whole sites."""
