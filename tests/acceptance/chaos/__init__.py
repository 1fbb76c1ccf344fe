"""Chaos: thousands of tasks of every kind, while workers and stores are killed, frozen and cut off; nothing may be lost.

    errands   which tasks there are, and what becomes of each, whatever happens
    tasks     what they do; each run writes a line at its start and one at its end
    ledger    reads those lines
    blows     what is done to workers and to the store, and when
    crew      the workers, and who starts another where one is gone
    stores    the servers, and ways to hurt them
    monkey    deals the blows
    verdict   compares ledger, store and blows

The seed decides the errands and the blows. `make chaos` runs the long form.
"""
