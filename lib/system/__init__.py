"""The machine: files, locks, limits, devices and processes."""
