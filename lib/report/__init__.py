"""Write one HTML page about a run or about several: ``python -m lib.report WEIGHTS_DIR [WEIGHTS_DIR ...]``."""
