#!/usr/bin/env python3
"""Write docs/configuration.md from the dataclasses in lib/config: python docs/generate_configuration.py."""

import sys
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))  # so that this file can be run from any folder

from lib.config.arguments import field_help, sections, summary  # noqa: E402
from lib.config.dump import flow  # noqa: E402
from lib.config.schema import Config  # noqa: E402

INTRODUCTION = """# Configuration

<!-- Written by docs/generate_configuration.py; change lib/config, not this file. -->

`config.yaml` says what to train and a spec file (`spec_1gpu.yaml`, `spec_2gpu.yaml`) on which devices. The command line
overrides both: `--optimizer.learning_rate 0.02`. `--config FILE` and `--spec FILE` name other files. A spec overrides a
configuration, and a file that is named overrides one that is read by default. An unknown key is an error that names the
closest one. `--print_config` prints the result as YAML, and `--config` with that file gives the same run.

```sh run
python train.py --run.n_epochs 9 --print_config
```

Besides the keys, `train.py` takes `--dry_run`, `--find_batch_size`, `--find_learning_rate`, `--profile N`, `--quiet`
and `--debug`: `python train.py --help`. `--help data` explains every key of `data`, `--help all` every one.

With [argcomplete](https://pypi.org/project/argcomplete/) the tabulator completes keys and their values, also after
`python train.py`: `pip install argcomplete`, run `activate-global-python-argcomplete` once, and start a new shell.

Values follow the type of their key: `5e-4` is a number and `2024-05-01` a folder's name. A leading `~` in a path is the
home folder. Numbers must be finite. A key that is set twice in a file is an error.

`augment.*`, `normalize.*`, `optimizer.*`, `schedule.*` and `run.n_epochs` default to the recipe of the network
([lib/models/recipes.py](../lib/models/recipes.py)); the defaults below are those of `alexnet`. The `config.yaml` in a
run's folder marks each value that is the recipe's.

## Exit statuses

| status | meaning |
|---|---|
| 0 | done |
| 1 | a process failed, was lost or was killed; the message names the process and what it was doing |
| 2 | an error that you can fix, in one line |
| 130, 143, 129 | stopped by Ctrl-C, SIGTERM, SIGHUP after saving a checkpoint: the same command continues from it |
"""


def page() -> str:
    """Return the text of configuration.md."""
    texts = [INTRODUCTION, _table("keys of the spec: on which devices", Config, "")]
    for part in fields(Config):
        section = part.default_factory
        if isinstance(section, type) and is_dataclass(section):
            texts.append(_table(summary(section), section, f"{part.name}."))
    return "\n".join(texts)


def _table(title: str, section: type[Any], prefix: str) -> str:
    """Return a row per key of ``section``, with those of the sections in it unless it is the whole configuration."""
    parts = list(sections(section, prefix)) if prefix else [(prefix, section)]
    rows = [row for part_prefix, part in parts for row in _rows(part, part_prefix)]
    return "\n".join([f"## {title}\n", "| key | default | meaning |", "|---|---|---|", *rows, ""])


def _rows(section: type[Any], prefix: str) -> Iterator[str]:
    texts, defaults = field_help(section), {f.name: f.default for f in fields(section)}
    for name, text in texts.items():
        yield f"| `{prefix}{name}` | `{flow(defaults[name])}` | {text.replace('|', chr(92) + '|')} |"


if __name__ == "__main__":
    (ROOT / "docs/configuration.md").write_text(page(), encoding="utf-8")
