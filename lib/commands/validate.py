"""validate.py: evaluate a checkpoint over all validation images."""

import sys
from collections.abc import Sequence
from pathlib import Path

from lib.commands.configuration import parse_config
from lib.commands.report_errors import report_errors
from lib.commands.run import check_run, run_roles, worker_roles
from lib.config.schema import Config
from lib.evaluation.options import Evaluation


@report_errors
def validate(description: str, spec: Path) -> int:
    """Run validate.py. Returns the exit status."""
    config, evaluation = parse(sys.argv[1:], description, spec)
    roles = worker_roles(range(config.world_size), "validator")
    return run_roles(config, check_run(config), roles, evaluation=evaluation)


def parse(argv: Sequence[str], description: str, spec: Path) -> tuple[Config, Evaluation]:
    """Return the configuration and what to evaluate. Raises ConfigError."""
    return parse_config(argv, description=description, spec=spec, options=Evaluation, shortcuts=("--debug",))
