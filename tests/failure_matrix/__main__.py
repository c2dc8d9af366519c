"""Make each role fail in each way at each moment of a real run of two workers, and print the results as a table.

A cell passes when the run ends in time with the expected status and message, leaves no process, socket, shared memory
or unfinished file behind, and, started again, ends with the same bits as an undisturbed run. All cells take about half
an hour.

examples:
  python -m tests.failure_matrix
  python -m tests.failure_matrix --only 'trainer */saving/*'
  python -m tests.failure_matrix --only '*/training/SIG*' --devices '[auto, auto, auto, auto]'
"""

import argparse
import fnmatch
import itertools
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.failure_matrix.cells import FAULTS, GROUP_FAULTS, MOMENTS, ROLES, SOURCES, SPLIT, Cell, cells
from tests.failure_matrix.experiment import Bench, Result


def main() -> int:
    parser = argparse.ArgumentParser("python -m tests.failure_matrix", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--only", default="*", metavar="ROLE/MOMENT/FAULT[/SOURCE]", help="cells to run, with * and ?")
    parser.add_argument("--devices", default="[cpu, cpu]", help="of the workers, at least two; on GPUs [auto, auto]")
    arguments = parser.parse_args()
    selected = [cell for cell in cells() if fnmatch.fnmatch(cell.name, arguments.only)]
    results = []
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(Path(folder), arguments.devices)
        for cell in selected:
            results.append(bench.try_out(cell))
            print(f"{cell.name}: {results[-1].wrong or 'passed'}", file=sys.stderr, flush=True)
    print(table(results))
    return int(any(result.wrong for result in results))


def table(results: Sequence[Result]) -> str:
    """Return a Markdown table of exit statuses and seconds from the fault to the end of the run."""
    at = {r.cell: r for r in results}
    of_roles = [(role, moment, "hickle") for role in ROLES for moment in MOMENTS]
    of_group = [("group", moment, "hickle") for moment in MOMENTS]
    of_sources = [("group", "training", source) for source in SOURCES]
    of_split = [(role, moment, "split") for role, moment in itertools.product(*SPLIT[:2])]
    lines = []
    for title, faults, rows in (
        ("role", FAULTS, of_roles),
        ("source", GROUP_FAULTS, [*of_group, *of_sources]),
        ("role", SPLIT[2], of_split),
    ):
        lines += [f"| {title} | moment | {' | '.join(faults)} |", f"|---|---|{'---|' * len(faults)}"]
        for role, moment, source in rows:
            row = [at.get(Cell(role, moment, fault, source)) for fault in faults]
            if any(row):
                lines.append(f"| {role if title == 'role' else source} | {moment} | {' | '.join(map(field, row))} |")
        lines.append("")
    return "\n".join(lines)


def field(result: Result | None) -> str:
    if not result:
        return ""
    return "**wrong**" if result.wrong else f"{result.status}, {result.seconds:.1f} s"


if __name__ == "__main__":
    sys.exit(main())
