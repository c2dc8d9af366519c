"""validate.py: evaluate a checkpoint over all validation images."""

import sys
from collections.abc import Sequence
from pathlib import Path

from lib.commands.configuration import parse_config
from lib.commands.report_errors import report_errors
from lib.commands.run import check_run, run_roles, worker_roles
from lib.config.schema import Config
from lib.evaluation.options import Evaluation


def validate(description: str, spec: Path) -> int:
    """Run validate.py. Returns the exit status."""

    def main() -> int:
        config, evaluation = parse(sys.argv[1:], description, spec)
        data = check_run(config)
        return run_roles(config, data, worker_roles(range(config.world_size), "validator"), evaluation=evaluation)

    return report_errors(main)


def parse(argv: Sequence[str], description: str, spec: Path) -> tuple[Config, Evaluation]:
    """Return the configuration and what to evaluate. Raises ConfigError."""
    return parse_config(argv, description=description, spec=spec, options=Evaluation, shortcuts=("--debug",))
