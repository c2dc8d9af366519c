"""What a run finds and leaves on its machine: devices, limits, files, processes."""
