"""Measurements that are no tests: run by hand, written down in docs."""
