"""The engine: plans studies and searches, trains what is missing, records it.

The rooms inside import one way: worker and tracking know nobody, plan knows these, ray
knows plan, driver knows ray, search knows all. What rooms share lies beside this file:
``planned``, ``listener``, ``stopping``, ``environment``.
"""
