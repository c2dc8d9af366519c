"""What a run says of the report that it waits for at its end."""

import subprocess
from pathlib import Path

import pytest

from lib.commands.run import finish_report
from lib.config.schema import Config, LoggingConfig, RunConfig
from lib.recording.refresher import Refresher


@pytest.mark.parametrize("quiet", [False, True])
def test_a_run_says_that_it_waits_for_its_report_how_long_and_where_none_came(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], quiet: bool
) -> None:
    monkeypatch.setattr(Refresher, "_start", lambda *_: subprocess.Popen(["true"]))
    config = Config(run=RunConfig(weights_dir=Path("models")), logging=LoggingConfig(quiet=quiet))
    finish_report(config)
    said = "writing models/report.html, up to 180 s if other programs are busy; Ctrl-C skips it ...\n"
    assert capsys.readouterr() == ("" if quiet else said, "")
    monkeypatch.setattr(Refresher, "_start", lambda *_: subprocess.Popen(["false"]))
    finish_report(config)
    assert "no report; python -m lib.report models writes it, or prints the reason\n" in capsys.readouterr().err
