"""Ours and its peers side by side, in one run: ``python -m benchmarks.NAME [--json]``. docs/performance.md has more."""
