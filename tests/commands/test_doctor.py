"""What the doctor finds on a machine and in a data set."""

import sys
from pathlib import Path

import pytest

from lib.commands import doctor
from lib.commands.doctor import Finding, print_findings, run_checks
from lib.config.schema import Config, DataConfig


def test_a_fit_machine_and_data_set_are_fine(data_set: Path) -> None:
    found = {finding.subject: finding for finding in run_checks(Config(data=DataConfig(dir=data_set)))}
    assert {"Python", "torch", "CUDA", "devices", "/dev/shm", "ulimits", "temporary", "data set", "disk"} <= set(found)
    assert "48 training and 20 validation images, complete" in found["data set"].text
    assert {found[subject].state for subject in ("Python", "torch", "devices", "data set")} == {"fine"}
    assert "GB/s" in found["disk"].text


def test_a_bad_finding_names_the_fix(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "version_info", (3, 9))
    config = Config(data=DataConfig(dir=tmp_path / "no"), devices=("cuda:9",))
    found = {finding.subject: finding for finding in run_checks(config)}
    assert found["data set"].state == found["devices"].state == found["Python"].state == "bad"
    assert "make one with preprocessing/generate_data.sh" in found["data set"].text
    assert "there is no such device here" in found["devices"].text
    assert "install 3.11 or newer" in found["Python"].text
    assert "disk" not in found


def test_only_a_bad_finding_makes_the_exit_status_2(capsys: pytest.CaptureFixture[str]) -> None:
    fine, slow, bad = (Finding(subject="thing", state=state, text="text") for state in ("fine", "slow", "bad"))
    assert print_findings(iter([fine, slow]), color=False) == 0
    assert capsys.readouterr().out == "fine  thing       text\nslow  thing       text\n"
    assert print_findings(iter([bad, fine]), color=True) == 2
    assert "\033[31mbad \033[0m" in capsys.readouterr().out


def test_help_names_the_command_as_it_is_typed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["doctor.py", "--help"])
    with pytest.raises(SystemExit):
        doctor.main()
    assert capsys.readouterr().out.startswith("usage: python -m lib.commands.doctor [--config FILE]")
