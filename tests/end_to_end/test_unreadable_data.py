"""A run with an unreadable batch file saves what it trained, and resumes bit for bit once the file is repaired."""

import re
from pathlib import Path

from lib.data.packed.layout import layout
from tests.support.data_sets import write_data_set
from tests.support.runs import assert_same_bits
from tests.support.scripts import Script

OPTIONS = (
    *("--model.name", "tiny", "--batch_size", 8, "--devices", "[cpu, cpu]", "--run.n_epochs", 2),
    *("--data.shuffle", "none", "--data.verify", "true", "--data.slots", 2),
)


def test_an_unreadable_file_stops_all_workers_after_a_checkpoint(tmp_path: Path, run_script: Script) -> None:
    """Only worker 1 reads the file, in the third iteration."""
    path = layout(write_data_set(tmp_path / "data", file_batch_size=8).dir).batch_file("train", 8, 5)
    content = path.read_bytes()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    done = run_script("train_2gpu.py", *OPTIONS)
    assert done.returncode == 2, done.stderr
    assert re.fullmatch(
        r"error: data/train_hkl_b8/00005.hkl is damaged \(its checksum is not the manifest's\); delete it and run "
        r"preprocessing/generate_data.sh again; all training before that is saved: start the same command again then, "
        r"and it goes on\n",
        done.stderr,
    ), done.stderr
    assert (tmp_path / "models/checkpoints/latest").read_text() == "epoch000_iter00002.pt"
    path.write_bytes(content)
    again = run_script("train_2gpu.py", *OPTIONS)
    assert again.returncode == 0, again.stderr
    assert "0 epochs and 2 iterations done" in again.stdout
    assert run_script("train_2gpu.py", *OPTIONS, "--run.weights_dir", "undisturbed").returncode == 0
    assert_same_bits(tmp_path / "models", tmp_path / "undisturbed", epoch=2)
