"""How classify.py prints its results."""

import json

import pytest

from lib.evaluation.output_formats import PRINTERS, TopClasses

CLASSES: TopClasses = [(0, "n01", "\x1b[31mred", 0.75), (1, "n02", "", 0.25)]


def test_a_class_name_does_not_control_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    PRINTERS["text"](True)("a\x07.jpg", CLASSES)
    assert capsys.readouterr().out == ("a\\x07.jpg:\n\\x1b[31mred (score = 0.75000)\nn02 (score = 0.25000)\n\n")


def test_json_keeps_every_name_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    PRINTERS["json"](True)("a\x07\udcff.jpg", CLASSES)
    printed = json.loads(capsys.readouterr().out)
    assert (printed["picture"], printed["best"][0]["name"]) == ("a\x07\udcff.jpg", "\x1b[31mred")
