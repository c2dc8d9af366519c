import pytest

from lib.commands.report_errors import report_errors


def test_ctrl_c_before_processes_run_is_no_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    def main() -> int:
        raise KeyboardInterrupt

    assert report_errors(main) == 130
    assert capsys.readouterr().err == "stopped\n"
