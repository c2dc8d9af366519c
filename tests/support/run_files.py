"""Write the files of a run directory without training."""

import json
from pathlib import Path


def line(kind: str, iteration: int, **more: float) -> str:
    means = {"loss": 1.0, "top1_error": 0.5, "top5_error": 0.25, "images": 800}
    speed = {"learning_rate": 0.1, "images_per_s": 400.0, "wait": 0.0, "compute": 1.0, "exchange": 0.0}
    return json.dumps({"kind": kind, "epoch": 1, "iteration": iteration} | means | speed | more)


def write_run(folder: Path, lines: list[str], data: str = "{source: jpeg_folder, decoders: 3}") -> Path:
    folder.mkdir(exist_ok=True)
    options = "{tensorboard: false, report: false}"
    (folder / "config.yaml").write_text(
        f"run: {{n_epochs: 2}}\nmodel: {{name: tiny}}\ndata: {data}\nlogging: {options}\n"
    )
    (folder / "metrics.jsonl").write_text("".join(f"{text}\n" for text in lines))
    return folder
