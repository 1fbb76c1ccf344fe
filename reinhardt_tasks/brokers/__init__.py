"""Storage: the contract (`base`), its reference in memory, and the stores that keep promises through a crash."""
