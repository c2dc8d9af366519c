import pytest

from lib.commands.report_errors import report_errors


def test_ctrl_c_before_processes_run_is_no_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    @report_errors
    def main() -> int:
        raise KeyboardInterrupt

    assert main() == 130
    assert capsys.readouterr().err == "stopped\n"
