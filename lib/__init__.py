"""Train AlexNet on one or more GPUs: each device has a trainer and a loader process, and one supervisor watches them.

Packages are floors. A module imports from its own package and from those below it, never from one above.
tests/test_floors.py holds the order and checks that this map shows it. Imports are relative, so that the package may be
installed under another name:

    api                 the program from Python: networks that predict, batches as the trainer sees them, trainings
    __main__            the command ``tandem`` of an installed package, which calls all others
    commands            what train.py, validate.py, classify.py, export.py and the other scripts do; doctor; verify_data
    roles               one file per process: trainer, loader, validator, dry run, finders of batch size and rate
    runtime             supervisor, process set-up, run folder, restarts by torchrun and SLURM
    report              the page about a run, report.html
    training            replica, step, optimizer, flat parameters, synchronization strategy, fine-tuning, snapshots
    recording           metrics to the console, metrics.jsonl and TensorBoard; trackers
    evaluation          predictor (weights, preprocessing, classes), crops, metrics, confusion matrix
    packing             a data set packed once, offline: batch files, mean image, labels; toy images
    data                data set, order, sampler, feed, upload; sources, images, packed files, augmentation
    formats             weights of other programs, ONNX, safetensors
    checkpoints         a training on disk: written, checked, read back
    exchange            averages over replicas: alone, peer, device peer, collective, hierarchical
    models              networks, their recipes, and the registry
    kernels             fast versions of layers in Triton, each tested against a plain one
    config              the schema of the configuration, YAML files, the command line, checks
    ipc                 messages, channels, memory that two processes share
    system              atomic writes, file locks, limits, devices, terminal
    errors, rng, types  error classes, random numbers keyed by (seed, epoch, image), names that many packages share

How a run flows. A script at the top of the repository calls its module in ``commands``, which reads the configuration,
checks everything that the user can fix, and starts the supervisor. The supervisor writes the configuration into a
private folder and starts every role as ``python -m lib.roles.ROLE FOLDER RANK``. Loaders never import torch.

One iteration of a worker:

1. The trainer lends a slot of shared memory to its loader by naming it (``Fill``). The loader reads rows of the batch
   files straight into the slot and hands it back (``Filled``).
2. The trainer copies the slot to its device, crops and augments the images there, and computes the gradients.
3. The exchange averages the gradients over all replicas, and the optimizer updates weights and momentum. Both lie in
   one flat tensor, so all replicas hold the same bits afterwards.
4. Each process tells the supervisor what it does and how long that may take (``Heartbeat``). A process that fails
   sends its error (``Failed``), and the supervisor ends the run and names the first that failed.

docs/reading.md lists the files of this path in reading order.

Where the code differs from the first plan of its packages, and why:

- Only what composes a run sees the whole ``Config``: ``api/settings.py``, ``commands``, ``roles``, ``config``,
  ``runtime/process.py`` and ``report/runs.py``, which reads the configuration of a finished run. Everything else gets
  its section or plain values.
- Replica and exchange are built in ``roles``, not in ``training`` and ``exchange``, because their builders read many
  sections of the configuration.
- No package imports ``report``. A training starts it as a process of low priority, so that neither its work nor its
  faults reach the training, and ``python -m lib.report`` compares runs.
- ``schedule`` is a module of ``training``: nothing below it needs a learning rate.
- ``types`` at the bottom holds the names that several packages share, such as ``Split``, so that no package imports
  another for a type.
- ``verify_data`` is a command, and the checksums that it compares are in ``data``, which loaders use as well.

From Python, the names of ``lib.api.public`` are names of this package. They are imported when one of them is used: a
loader and ``--help`` import this package too, and must stay light.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .api.public import Batches, Class, Network, Prediction, Run, UserError, open, train

    __version__: str
else:

    def __getattr__(name: str) -> Any:
        if name in __all__:
            return getattr(import_module(".api.public", __name__), name)
        if name == "__version__":
            return import_module(".system.program", __name__).version()
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


__all__ = ["Batches", "Class", "Network", "Prediction", "Run", "UserError", "open", "train"]
