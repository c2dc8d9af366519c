"""Triton kernels with the same results as plain PyTorch layers. Imported only on GPUs and in their tests."""
