"""The harness that tries to prove the promises wrong: seeded runs of the real engine under faults, and an oracle.

One seed is a small Northbeam, its workers, its vendors and a swarm of faults; the same seed is the same run. The
engine, its SQL and PostgreSQL are the product's;
time, chance, crashes and the vendors are the harness's.
"""
