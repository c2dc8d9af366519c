"""A page about a run: curves, filters, views, predictions, configuration. Several folders: compared in one page.

examples:
  python -m lib.report models
  python -m lib.report models models_fast models_small
  python -m lib.report models --all --device cuda:0
"""

import argparse
import os
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path

from lib.config.plain_parser import PlainParser
from lib.errors import UserError
from lib.system.parent_death import end_with_parent


def main() -> int:
    """Write the page and say where it is. Exit status 2 where the user can mend what is wrong."""
    wanted = arguments(sys.argv[1:])
    if wanted.background:
        # Beside a training: leave the GPUs, and all CPU time that anyone else has use for, alone.
        if not end_with_parent(wanted.background):
            return 1
        os.nice(19)
        os.environ["CUDA_VISIBLE_DEVICES"] = ""
        os.environ["OMP_NUM_THREADS"] = "1"
    # Only now: torch and matplotlib are slow to import, and torch heeds what was set above.
    from lib.report.network import Effort  # noqa: PLC0415
    from lib.report.page import write_report  # noqa: PLC0415

    seconds = wanted.seconds if wanted.seconds else float("inf")
    effort = Effort(images=None if wanted.all else wanted.images, seconds=seconds, device=wanted.device)
    try:
        path = write_report(wanted.weights_dir, effort)
    except UserError as error:
        if wanted.debug:
            traceback.print_exc()
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(path)
    return 0


def arguments(argv: Sequence[str]) -> argparse.Namespace:
    """What is asked for. Ends the process for --help and for what cannot be understood."""
    parser = PlainParser("python -m lib.report", description=__doc__)
    parser.add_argument("weights_dir", type=Path, nargs="+", help="folder of a run; the page is written into the first")
    parser.add_argument("--images", type=int, default=256, help="validation images to ask about (default: 256)")
    parser.add_argument("--all", action="store_true", help="ask about all validation images")
    parser.add_argument("--device", default="cpu", help="where the network is asked: cpu (default), cuda:0, ...")
    parser.add_argument("--seconds", type=float, default=0, help="ask no longer than this (default: no limit)")
    parser.add_argument("--debug", action="store_true", help="tracebacks of errors, too")
    parser.add_argument("--background", type=int, default=0, metavar="PID", help=argparse.SUPPRESS)
    wanted = parser.parse_args(argv)
    if wanted.images < 1:
        parser.error("--images must be at least 1")
    return wanted


if __name__ == "__main__":
    sys.exit(main())
