"""What a process reports of the error that ends it."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from lib.config.schema import Config, LoggingConfig, RunConfig
from lib.errors import ConfigError, PeerLost
from lib.runtime.process import Context, mark_started, report_failure


class Report:
    """The connection to the supervisor, and what is reported to it."""

    def failed(self, error: str, traceback: str, *, consequence: bool) -> None:
        self.error, self.traceback, self.consequence = error, traceback, consequence


def context(tmp_path: Path, name: str = "trainer 0", *, debug: bool = False) -> tuple[Context, Report]:
    config = Config(run=RunConfig(weights_dir=tmp_path), logging=LoggingConfig(debug=debug))
    client: Any = Report()
    sheet: Any = SimpleNamespace(config=config)
    return Context(name, 0, tmp_path, sheet, client), client


def compiler_error() -> BaseException:
    def backend(graph: object, inputs: object) -> Any:
        raise AssertionError("vr must not be None for symbol q3.\n  File ...")

    with pytest.raises(RuntimeError) as raised:
        torch.compile(lambda x: x + 1, backend=backend)(torch.ones(2))
    return raised.value


@pytest.mark.parametrize("debug", [False, True])
def test_a_failure_of_the_compiler_is_one_line_and_its_traceback_is_in_the_log(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], debug: bool
) -> None:
    name = f"role {int(debug)} of this test"  # a log stays open for each name in a process
    run, report = context(tmp_path, name, debug=debug)
    mark_started(tmp_path)
    assert report_failure(run, compiler_error()) == 2
    assert report.error == (
        f"{name}: PyTorch's compiler failed (AssertionError: vr must not be None for symbol q3.) on alexnet; "
        "train without it: --compute.compile never (--debug shows the traceback)"
    )
    assert not report.traceback
    assert "in backend" in (tmp_path / "train.log").read_text()
    assert ("in backend" in capfd.readouterr().err) == debug


def test_other_errors_keep_their_traceback(tmp_path: Path) -> None:
    run, report = context(tmp_path)
    assert report_failure(run, RuntimeError("shapes differ")) == 1
    assert (report.error, report.consequence) == ("shapes differ", False)
    assert report.traceback.endswith("RuntimeError: shapes differ\n")
    assert report_failure(run, PeerLost("the supervisor has ended")) == 1
    assert report.consequence
    assert report_failure(run, ConfigError("no such key")) == 2
    assert (report.error, report.traceback) == ("no such key", "")
