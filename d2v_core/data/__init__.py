"""Data of the three modalities: found, checked, cached, split and batched.

Each folder below is one modality; what all of them share lies here: the cache, digests,
splits, the inventory and the errors of files. A new source of data goes into its
modality's folder. What the cache holds may change with a raised version in its name;
digests may not change for data that was read rightly, since results are kept by them.
"""
