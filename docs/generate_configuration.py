#!/usr/bin/env python3
"""Write docs/configuration.md from the dataclasses in lib/config/schema.py: python docs/generate_configuration.py."""

import ast
import inspect
import sys
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from lib.config import schema  # noqa: E402  (the line above lets this file be run from any folder)

INTRODUCTION = """# Configuration

<!-- Written by docs/generate_configuration.py; change lib/config/schema.py, not this file. -->

`config.yaml` says what to train, a spec file (`spec_1gpu.yaml`, `spec_2gpu.yaml`) on what; the command line overrides
both: `--optimizer.learning_rate 0.02`. Name other files with `--config FILE` and `--spec FILE`. A key that does not
exist is an error that names the nearest one. `--print_config` prints the result, and what is printed can be read back.

```sh run
python train.py --run.n_epochs 9 --print_config
```

Besides the keys, `train.py` takes `--dry_run`, `--find_batch_size`, `--profile N`, `--quiet` and `--debug`:
`python train.py --help`.

With [argcomplete](https://pypi.org/project/argcomplete/) the tabulator completes keys and their values, after
`python train.py` too: `pip install argcomplete`, once `activate-global-python-argcomplete`, and a new shell.

`augment.*`, `normalize.*`, `optimizer.*`, `schedule.*` and `run.n_epochs` have the values of the network's recipe
([lib/models/recipes.py](../lib/models/recipes.py)) unless they are set; the defaults below are those of `alexnet`. The
run's `config.yaml` says at each of them whether it is the recipe's.

## Exit statuses

| status | meaning |
|---|---|
| 0 | done |
| 1 | a process failed, was lost or was killed; the message says which one, doing what |
| 2 | something you can mend, said in one line |
| 130, 143, 129 | stopped by Ctrl-C, SIGTERM, SIGHUP, after saving a checkpoint: the same command goes on from there |
"""


def page() -> str:
    """The whole of configuration.md."""
    sections = [_section("the spec: on what to train", _rows(schema.Config, ""))]
    for part in fields(schema.Config):
        kind = part.default_factory
        if isinstance(kind, type) and is_dataclass(kind):
            title = " ".join(str(inspect.getdoc(kind)).split("\n\n")[0].split())
            sections.append(_section(title.rstrip("."), _rows(kind, f"{part.name}.")))
    return "\n".join([INTRODUCTION, *sections])


def _section(title: str, rows: Iterator[str]) -> str:
    return "\n".join([f"## {title}\n", "| key | default | meaning |", "|---|---|---|", *rows, ""])


def _rows(section: Any, prefix: str) -> Iterator[str]:
    """A row a key; below the top also those of a section within the section."""
    meanings = _meanings(section)
    for part in fields(section):
        inner = part.default_factory
        if prefix and isinstance(inner, type) and is_dataclass(inner):
            yield from _rows(inner, f"{prefix}{part.name}.")
        if part.name in meanings:
            meaning = meanings[part.name].replace("|", "\\|")
            yield f"| `{prefix}{part.name}` | `{_text(part.default)}` | {meaning} |"


def _meanings(section: Any) -> dict[str, str]:
    """The text under each field, which Python itself throws away."""
    body = ast.parse(inspect.getsource(section)).body[0]
    assert isinstance(body, ast.ClassDef)
    found = {}
    for field, text in zip(body.body, body.body[1:], strict=False):
        if isinstance(field, ast.AnnAssign) and isinstance(text, ast.Expr) and isinstance(text.value, ast.Constant):
            assert isinstance(field.target, ast.Name)
            found[field.target.id] = " ".join(str(text.value.value).split())
    return found


def _text(default: Any) -> str:
    """A default as YAML has it."""
    if isinstance(default, tuple):
        return f"[{', '.join(map(str, default))}]"
    return str(default).lower() if isinstance(default, bool) else str(default)


if __name__ == "__main__":
    (ROOT / "docs/configuration.md").write_text(page(), encoding="utf-8")
