"""Pages are correct: keys exist, and links lead to files."""

import re
from pathlib import Path
from typing import get_args

import pytest
import yaml

from docs import generate_networks as networks
from docs.generate_configuration import page
from lib.config.field_type import field_types
from lib.config.schema import Config
from lib.ipc.messages import Message
from lib.models.registry import MODELS
from tests.support.pages import PAGES
from tests.support.scripts import ROOT


def test_configuration_page_is_as_generated() -> None:
    message = "run: python docs/generate_configuration.py"
    assert (ROOT / "docs/configuration.md").read_text() == page(), message


@pytest.mark.parametrize("page", networks.TABLES)
def test_the_tables_of_networks_are_as_generated(page: str) -> None:
    text = (ROOT / page).read_text()
    assert networks.TABLES[page][1]() in text, "run: python docs/generate_networks.py"


def test_the_table_of_networks_names_each() -> None:
    for name in MODELS.keys() - {"tiny", "tiny_without_dropout"}:
        assert f"`{name}` " in networks.table()


def test_configuration_page_has_every_key() -> None:
    listed = set(re.findall(r"^\| `([\w.]+)` \|", page(), flags=re.MULTILINE))
    assert listed == set(field_types(Config))


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_settings_that_pages_name_exist(path: Path) -> None:
    sections = {key.partition(".")[0] for key in field_types(Config) if "." in key}
    ours = [cell for cell in re.findall(r"(?:--|`)(\w+(?:\.\w+)+)", path.read_text()) if cell.split(".")[0] in sections]
    assert not set(ours) - set(field_types(Config))


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_links_lead_to_existing_files(path: Path) -> None:
    targets = [t for t in re.findall(r"\]\(([^)#]+)", path.read_text()) if not t.startswith("http")]
    assert not [target for target in targets if not (path.parent / target).exists()]


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_links_lead_to_existing_headings(path: Path) -> None:
    for target, heading in re.findall(r"\]\(([\w/.]*\.md)#([^)]+)\)", path.read_text()):
        titles = re.findall(r"^#+ (.*)$", (path.parent / target).read_text(), flags=re.MULTILINE)
        assert heading in {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}, target


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_files_that_pages_name_exist(path: Path) -> None:
    text = re.sub(r"^```.*?^```$", "", path.read_text(), flags=re.MULTILINE | re.DOTALL)
    named = set(re.findall(r"`((?:lib|tests|benchmarks|preprocessing|docs)/[\w/.]+)`", text))
    assert not [name for name in named if not (ROOT / name).exists()]


@pytest.mark.parametrize("name", ["architecture.md", "architecture.svg"])
def test_the_page_and_the_drawing_show_every_message(name: str) -> None:
    text = (ROOT / "docs" / name).read_text()
    assert not [message for message in get_args(Message) if message.__name__ not in text]


def test_citation_names_the_version_of_the_package() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert f'version = "{citation["version"]}"' in (ROOT / "pyproject.toml").read_text()
    assert {"cff-version", "message", "title", "authors"} <= citation.keys()
