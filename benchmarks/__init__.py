"""Measurements of speed against the plain way, as ratios within one run: `python -m benchmarks.NAME`."""
