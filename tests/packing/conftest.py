from pathlib import Path

import pytest

from tests.support.tiny_tree import make_all, make_tree, settings_for


@pytest.fixture(scope="session")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a tree of 45 training and 15 validation images, which tests must not change."""
    return make_tree(tmp_path_factory.mktemp("tiny") / "tree")


@pytest.fixture(scope="session")
def whole(tree: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pack ``tree`` with two workers and without a stop. Tests must not change the data set."""
    return make_all(settings_for(tree, tmp_path_factory.mktemp("tiny") / "whole", workers=2))
