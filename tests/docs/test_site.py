"""MkDocs builds the site without warnings, and nothing on it is fetched from elsewhere."""

import re
import subprocess
import sys
from pathlib import Path

from tests.support.scripts import ROOT


def build(folder: Path, config: Path = ROOT / "mkdocs.yml") -> subprocess.CompletedProcess[str]:
    words = [
        sys.executable,
        "-m",
        "mkdocs",
        "build",
        "--strict",
        "--config-file",
        str(config),
        "--site-dir",
        str(folder),
    ]
    return subprocess.run(words, capture_output=True, text=True, timeout=100, check=False)


def test_the_site_is_built_without_warnings_and_holds_what_its_pages_link_to(tmp_path: Path) -> None:
    done = build(tmp_path)
    assert done.returncode == 0, done.stderr
    first = (tmp_path / "index.html").read_text()
    assert 'href="performance/' in first
    assert (tmp_path / "source/lib/roles/trainer.py.txt").read_bytes() == (ROOT / "lib/roles/trainer.py").read_bytes()
    fetched = re.findall(r'(?:<link|<script|<img)[^>]+(?:href|src)="(https?:[^"]+)', first)
    assert not fetched


def test_a_link_to_nowhere_is_noticed(tmp_path: Path) -> None:
    text = (ROOT / "mkdocs.yml").read_text()
    for name in ("docs", "README.md", "lib"):
        (tmp_path / name).symlink_to(ROOT / name)
    (tmp_path / "docs").unlink()
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs/results.md").write_text("[nowhere](../lib/nowhere.py)\n")
    config = re.sub(r"^nav:.*", "", text, flags=re.MULTILINE | re.DOTALL)
    config = config.replace("docs/site_hooks.py", str(ROOT / "docs/site_hooks.py"))
    (tmp_path / "mkdocs.yml").write_text(config)
    done = build(tmp_path / "site", tmp_path / "mkdocs.yml")
    assert done.returncode != 0
    assert "source/lib/nowhere.py.txt" in done.stderr
