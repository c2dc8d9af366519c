"""How a script answers options that it does not have."""

from collections.abc import Callable

import pytest

from lib.commands import classify, export
from lib.report.__main__ import arguments


@pytest.mark.parametrize(
    ("parse", "argv", "message"),
    [
        (lambda argv: classify.parse(argv, ""), ["a.jpg", "--crops", "3"], "argument --crops: invalid choice: "),
        (lambda argv: export.parse(argv, ""), [], "the following arguments are required: OUT"),
        (arguments, ["models", "--imags", "3"], "unrecognized arguments: --imags 3"),
    ],
    ids=["classify", "export", "report"],
)
def test_wrong_options_are_one_line_and_status_2(
    capsys: pytest.CaptureFixture[str], parse: Callable[[list[str]], object], argv: list[str], message: str
) -> None:
    with pytest.raises(SystemExit) as ended:
        parse(argv)
    stderr = capsys.readouterr().err
    assert (ended.value.code, stderr.count("\n")) == (2, 1)
    assert stderr.startswith(f"error: {message}")
    assert stderr.endswith("; --help lists every option\n")
