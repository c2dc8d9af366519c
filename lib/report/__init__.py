"""One page about one run or several: ``python -m lib.report WEIGHTS_DIR [WEIGHTS_DIR ...]``."""
