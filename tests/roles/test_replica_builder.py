import importlib.util
from dataclasses import replace

import pytest
import torch

from lib.config.schema import Config
from lib.roles.replica_builder import MAX_FUSED_BATCH, why_not_fused


@pytest.mark.skipif(importlib.util.find_spec("triton") is None, reason="the kernels need Triton")
def test_batches_too_large_for_the_kernels_are_not_fused() -> None:
    config, gpu = Config(batch_size=MAX_FUSED_BATCH), torch.device("cuda", 0)
    assert why_not_fused(config, gpu) == ""
    assert why_not_fused(replace(config, batch_size=MAX_FUSED_BATCH + 1), gpu) == "batch_size is more than 4096"
    assert why_not_fused(config, torch.device("cpu")) == "it needs a GPU"
