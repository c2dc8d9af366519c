"""Devices, limits, processes and files of the machine."""
