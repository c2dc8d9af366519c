"""What a script says of words that it does not understand."""

from collections.abc import Callable

import pytest

from lib.commands import classify, export
from lib.report.__main__ import arguments


@pytest.mark.parametrize(
    ("parse", "argv", "says"),
    [
        (lambda argv: classify.parse(argv, ""), ["a.jpg", "--crops", "3"], "argument --crops: invalid choice: "),
        (lambda argv: export.parse(argv, ""), [], "the following arguments are required: OUT"),
        (arguments, ["models", "--imags", "3"], "unrecognized arguments: --imags 3"),
    ],
    ids=["classify", "export", "report"],
)
def test_wrong_options_are_one_line_and_status_2(
    capsys: pytest.CaptureFixture[str], parse: Callable[[list[str]], object], argv: list[str], says: str
) -> None:
    with pytest.raises(SystemExit) as ended:
        parse(argv)
    told = capsys.readouterr().err
    assert (ended.value.code, told.count("\n")) == (2, 1)
    assert told.startswith(f"error: {says}")
    assert told.endswith("; --help says what there is\n")
