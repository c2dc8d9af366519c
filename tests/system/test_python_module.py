"""New processes find the package, and nothing in its folder hides the standard library."""

import site
from pathlib import Path

import pytest

from lib.system import python_module


def test_a_clone_is_searched_first_and_site_packages_as_always(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", "elsewhere")
    monkeypatch.setattr(python_module, "PACKAGE_DIR", tmp_path / "lib")
    assert python_module.module_environment()["PYTHONPATH"] == f"{tmp_path}:elsewhere"
    monkeypatch.setattr(python_module, "PACKAGE_DIR", Path(site.getsitepackages()[0], "tandem"))
    assert python_module.module_environment()["PYTHONPATH"] == "elsewhere"
