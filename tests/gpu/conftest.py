"""These tests are collected only where there is a CUDA device; those that need two say so."""

import torch

collect_ignore_glob = [] if torch.cuda.is_available() else ["test_*.py"]
