"""What every broker promises, a file for each kind of promise; `contract.py` puts them together."""
