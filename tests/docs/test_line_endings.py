"""Scripts work however Git is configured."""

import subprocess
from pathlib import Path

import pytest

from tests.support.scripts import ROOT


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="not a checkout")
def test_scripts_have_line_feeds_where_git_converts_line_endings(tmp_path: Path) -> None:
    clone = [
        "git",
        "-c",
        "core.autocrlf=true",
        "clone",
        "-q",
        "--depth",
        "1",
        f"file://{ROOT}",
        str(tmp_path / "clone"),
    ]
    subprocess.run(clone, check=True)
    scripts = [*tmp_path.glob("clone/*.py"), *tmp_path.glob("clone/preprocessing/*.sh")]
    assert scripts
    assert not [path.name for path in scripts if b"\r" in path.read_bytes()]
