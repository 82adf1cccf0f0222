"""Wire-level simulators of the vendors, each behind a proxy that injects faults; for tests and the demo."""
