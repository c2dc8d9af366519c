"""Hooks of MkDocs: README.md becomes the first page, and links to files outside docs/ lead to copies of these files.

So the pages need no links of two kinds: in the repository and on the site the same ones work. All decisions are listed.
"""

import posixpath
import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[1]
_LINK = re.compile(r"(?<=\]\()(?!\w+:|#)([^)#\s]+)")
_FENCE = re.compile(r"^(```\w+) [\w-]+$", flags=re.MULTILINE)


def on_config(config: Any) -> None:
    """Add all decisions to the navigation, after their list."""
    for section in config.nav or []:
        for entry in section.get("Inside", []) if isinstance(section, dict) else []:
            if isinstance(entry, dict) and "Decisions" in entry:
                entry["Decisions"] += sorted(f"decisions/{path.name}" for path in ROOT.glob("docs/decisions/0*.md"))


def on_files(files: Files, config: Any) -> Files:
    """Add README.md as the first page, and each file outside docs/ that a page links to, as text."""
    files.append(File.generated(config, "index.md", content=(ROOT / "README.md").read_text(encoding="utf-8")))
    for page in list(files.documentation_pages()):
        for target in _LINK.findall(page.content_string):
            path = _in_repository(page.src_uri, target)
            uri = _uri(path)
            if uri.startswith("source/") and (ROOT / path).is_file() and not files.get_file_from_path(uri):
                files.append(File.generated(config, uri, content=(ROOT / path).read_bytes()))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Rewrite the links of a page from files of the repository to files of the site."""
    uri = page.file.src_uri

    def on_site(link: re.Match[str]) -> str:
        return posixpath.relpath(_uri(_in_repository(uri, link[0])), posixpath.dirname(uri) or ".")

    # Words after the language tell our tests how to check the commands.
    return _FENCE.sub(r"\1", _LINK.sub(on_site, markdown))


def _in_repository(page_uri: str, target: str) -> str:
    """Return the path in the repository to which ``target`` leads from a page."""
    folder = "" if page_uri == "index.md" else posixpath.dirname(f"docs/{page_uri}")
    return posixpath.normpath(posixpath.join(folder, target))


def _uri(path: str) -> str:
    """Return the place of a file of the repository on the site: lib/rng.py is at source/lib/rng.py.txt."""
    if path == "README.md":
        return "index.md"
    return path.removeprefix("docs/") if path.startswith("docs/") else f"source/{path}.txt"
