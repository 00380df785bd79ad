"""The user's own code: loaded, checked against what is wanted of it, and run.

A new kind of what can be one's own is an entry in :data:`d2v_core.own.kinds.KINDS` and
a mark (:class:`d2v_core.config.own.TakesOwn`) on the setting that names it.
"""
