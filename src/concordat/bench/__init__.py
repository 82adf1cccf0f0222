"""Benchmarks: the engine as it ships against a yardstick in the same run, on loopback, bounded in time.

Numbers are ratios first: absolute times on a shared machine drift, the yardstick drifts with them.
"""
