"""Before anything runs: which trials lack, what they cost, how long they take.

Nothing here starts Ray or writes to a store.
"""
