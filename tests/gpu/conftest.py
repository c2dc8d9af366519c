"""Collect these tests only on a machine with a CUDA device; tests that need two are marked."""

import torch

collect_ignore_glob = [] if torch.cuda.is_available() else ["test_*.py"]
