"""Write a page about a run: curves, filters, augmented images, predictions, configuration. Several runs are compared.

examples:
  python -m lib.report models
  python -m lib.report models models_fast models_small --out compare.html
  python -m lib.report models --all --device cuda:0
"""

import argparse
import os
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path

from ..config.plain_parser import PlainParser
from ..errors import UserError
from ..system.limits import spare_memory
from ..system.parent_death import end_with_parent
from ..system.program import as_called
from ..system.terminal import prepare_streams, print_stderr


def main() -> int:
    """Write the page and print its path. Return exit status 2 for an error that the user can fix."""
    prepare_streams()
    options = arguments(sys.argv[1:])
    if options.background:
        # Beside a training: use no GPU, and only memory, and mostly CPU time, that no other process needs.
        if not end_with_parent(options.background):
            return 1
        os.nice(options.nice)
        spare_memory()
        os.environ["CUDA_VISIBLE_DEVICES"] = ""
        os.environ["OMP_NUM_THREADS"] = "1"
    # Imported here: torch and matplotlib are slow to import, and torch reads the variables set above.
    from .inspector import SampleBudget  # noqa: PLC0415
    from .page import write_report  # noqa: PLC0415

    budget = SampleBudget(
        images=None if options.all else options.images,
        seconds=options.seconds or float("inf"),
        device=options.device,
    )
    try:
        path = write_report(options.weights_dir, budget, options.out)
    except (UserError, OSError) as error:
        if options.debug:
            traceback.print_exc()
        print_stderr(f"error: {'cannot write the report: ' if isinstance(error, OSError) else ''}{error}")
        return 2
    print(path)
    return 0


def arguments(argv: Sequence[str]) -> argparse.Namespace:
    """Parse the command line. Ends the process for --help and for errors."""
    parser = PlainParser(as_called("python -m lib.report"), description=as_called(__doc__ or ""))
    parser.add_argument("weights_dir", type=Path, nargs="+", help="folder of a run, or of several")
    text = "page to write (default: report.html in the folder of a run; for several runs compare.html here)"
    parser.add_argument("--out", type=Path, metavar="FILE", help=text)
    parser.add_argument("--images", type=int, default=256, help="validation images to evaluate (default: 256)")
    parser.add_argument("--all", action="store_true", help="evaluate all validation images")
    parser.add_argument("--device", default="cpu", help="device of the network: cpu (default), cuda:0, ...")
    parser.add_argument("--seconds", type=float, default=0, help="evaluate no longer than this (default: no limit)")
    parser.add_argument("--debug", action="store_true", help="show tracebacks of errors")
    parser.add_argument("--nice", type=int, default=0, help=argparse.SUPPRESS)
    parser.add_argument("--background", type=int, default=0, metavar="PID", help=argparse.SUPPRESS)
    options = parser.parse_args(argv)
    if options.images < 1:
        parser.error("--images must be at least 1")
    return options


if __name__ == "__main__":
    sys.exit(main())
