"""The commands by name, and how scripts and ``tandem`` call them: their imports take a second."""

import signal
import sys
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Command:
    """A command: its function, and what --help says first."""

    function: str
    """.module.function in this package, ..package.module.function in another; it returns the exit status"""
    summary: str
    """one line"""
    examples: str = ""
    """the rest of what --help says first; empty if the function knows all of it"""
    spec: str = ""
    """the file of settings that it reads by default beside config.yaml"""


_DEVICE = "spec_1gpu.yaml"

COMMANDS = {
    "train": Command(
        function=".train.train",
        spec=_DEVICE,
        summary="Train on one device, with a trainer and a loader process.",
        examples="""examples:
  python train.py
  python train.py --optimizer.learning_rate 0.02 --run.weights_dir models_fast
  python train.py --run.resume models/checkpoints/epoch010_iter00000.pt
  python train_2gpu.py
""",
    ),
    "train_2gpu": Command(
        function=".train.train",
        spec="spec_2gpu.yaml",
        summary="Train on two devices, whose replicas average their weights in every iteration.",
        examples="""examples:
  python train_2gpu.py
  python train_2gpu.py --devices '["cuda:2", "cuda:3"]'
  python train_2gpu.py --devices '[cpu, cpu]' --batch_size 64 --run.n_epochs 10
""",
    ),
    "validate": Command(
        function=".validate.validate",
        spec=_DEVICE,
        summary="Evaluate a checkpoint over all validation images: loss, errors, confusion matrix.",
        examples="""Also mean average precision, and errors by class.

examples:
  python validate.py
  python validate.py --checkpoint models/checkpoints/epoch060_iter00000.pt --crops 10 --out figures
  python validate.py --checkpoint models --data.dir other_data
  python validate.py --spec spec_2gpu.yaml

Network, data and sizes are those of the checkpoint's run, as far as no option and no --config says otherwise.
""",
    ),
    "classify": Command(
        function=".classify.classify",
        summary="Print the most probable classes of images.",
        examples="""examples:
  python classify.py panda.jpg
  python classify.py photos/ --top 3 --crops 10 --json
  find photos -name '*.jpg' | python classify.py --csv - > classes.csv
  python classify.py panda.jpg --checkpoint alexnet.onnx
  python classify.py panda.jpg --checkpoint torchvision --model resnet50
  python classify.py panda.jpg --checkpoint theano_alexnet_weights --model alexnet --data data
  python classify.py panda.jpg --checkpoint resnet50.pth --model resnet50 --data FOLDER_WITH_synset_words.txt
""",
    ),
    "export": Command(
        function=".export.export",
        summary="Write the weights of a network in the format of another program.",
        examples="""examples:
  python export.py alexnet.safetensors
  python export.py alexnet.onnx --checkpoint models/checkpoints/epoch060_iter00000.pt
  python export.py weights --format theano
  python export.py resnet.onnx --checkpoint ResNet-50-model.caffemodel --model caffe_resnet50 --data data
""",
    ),
    "validate_data": Command(
        function=".verify_data.verify_data",
        spec=_DEVICE,
        summary="Compare every file of a packed data set with its checksum.",
        examples="""examples:
  python validate_data.py
  python validate_data.py --data.dir /fast/imagenet --data.readers 16

exit status: 0 every file is intact; 2 a file is missing or damaged, each is named with the fix
""",
    ),
    "pack": Command(
        function=".pack.pack",
        summary="Pack images into a data set that is read fast: batch files, mean image and labels.",
        examples="""Name your images with --train_img_dir and --val_img_dir: folders, or ILSVRC's tar files as
downloaded. If it is interrupted, start it again: it continues with what is missing.

examples:
  tandem pack --train_img_dir photos/train --val_img_dir photos/val
  tandem pack --toy --img_size 112
""",
    ),
    "report": Command(
        function="..report.__main__.main", summary="Write a page about a run, or about several to compare them."
    ),
    "doctor": Command(
        function=".doctor.main", summary="Check whether this machine and a data set are fit for training."
    ),
}


def call(name: str, spec: str = "") -> int:
    """Run a command with the options in ``sys.argv``. Returns the exit status; Ctrl-C during imports is no traceback.

    ``spec`` is another file to read by default than the command's own.
    """
    try:
        Path.cwd()
    except FileNotFoundError:
        print("error: the working folder has been deleted; change to another one", file=sys.stderr)
        return 2
    command = COMMANDS[name]
    module, _, function = command.function.rpartition(".")
    try:
        from ..system.program import as_called, settings_file  # noqa: PLC0415  (takes 40 ms)

        options: dict[str, Any] = {"spec": settings_file(spec or command.spec)} if command.spec else {}
        if command.examples:
            options["description"] = as_called(f"{command.summary}\n\n{command.examples}")
        run = getattr(import_module(module, __package__), function)
        status: int = run(**options)
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return 128 + signal.SIGINT
    return status
