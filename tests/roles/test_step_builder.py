import subprocess
import sys
from dataclasses import replace

import torch

from lib.config.schema import Config
from lib.roles.step_builder import MAX_FUSED_BATCH, why_not_captured, why_not_fused
from tests.support.scripts import ROOT


def test_batches_too_large_for_the_kernels_are_not_fused() -> None:
    config = Config(batch_size=MAX_FUSED_BATCH)
    assert why_not_fused(config) == ""
    assert why_not_fused(replace(config, batch_size=MAX_FUSED_BATCH + 1)) == "batch_size is more than 4096"


def test_a_cpu_runs_the_plain_step() -> None:
    assert why_not_captured(torch.device("cpu")) == "it needs a GPU"


def test_a_trainer_does_not_import_the_compiler_before_it_compiles() -> None:
    """It would take seconds of every start, and leave a folder in TMPDIR."""
    program = """
import sys, torch, lib.roles.trainer, lib.roles.validator
from lib.system.devices import prepare

prepare(torch.device("cpu"), precision="auto", deterministic=True, threads=1)
assert torch.are_deterministic_algorithms_enabled()
sys.exit(not {"torch._dynamo", "torch._inductor"}.isdisjoint(sys.modules))
"""
    assert subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=False).returncode == 0
