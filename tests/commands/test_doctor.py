import sys
from pathlib import Path

import pytest

from lib.commands import doctor
from lib.commands.doctor import CHECKS, Finding, examine, tell
from lib.config.schema import Config, DataConfig


def test_a_sound_machine_and_data_set_pass_every_check(data_set: Path) -> None:
    found = {finding.what: finding for finding in examine(Config(data=DataConfig(dir=data_set)), CHECKS)}
    assert {"Python", "torch", "CUDA", "devices", "/dev/shm", "ulimits", "temporary", "data set", "disk"} <= set(found)
    assert "48 training and 20 validation images, whole" in found["data set"].text
    assert {found[what].state for what in ("Python", "torch", "devices", "data set")} == {"fine"}
    assert "GB/s" in found["disk"].text


def test_each_failed_check_tells_how_to_fix_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "version_info", (3, 9))
    found = {f.what: f for f in examine(Config(data=DataConfig(dir=tmp_path / "no"), devices=("cuda:9",)), CHECKS)}
    assert found["data set"].state == found["devices"].state == found["Python"].state == "bad"
    assert "make one with preprocessing/generate_data.sh" in found["data set"].text
    assert "there is no such device here" in found["devices"].text
    assert "install 3.11 or newer" in found["Python"].text
    assert "disk" not in found


def test_warnings_do_not_change_the_exit_status(capsys: pytest.CaptureFixture[str]) -> None:
    fine, slow, bad = (Finding(what="thing", state=state, text="text") for state in ("fine", "slow", "bad"))
    assert tell(iter([fine, slow]), coloured=False) == 0
    assert capsys.readouterr().out == "fine  thing       text\nslow  thing       text\n"
    assert tell(iter([bad, fine]), coloured=True) == 2
    assert "\033[31mbad \033[0m" in capsys.readouterr().out


def test_help_shows_how_the_module_is_called(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["doctor.py", "--help"])
    with pytest.raises(SystemExit):
        doctor.main()
    assert capsys.readouterr().out.startswith("usage: python -m lib.commands.doctor [--config FILE]")
