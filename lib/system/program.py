"""How this program is called: by the scripts of a clone, or as ``tandem`` where it is installed."""

import re
import shutil
import sys
import tomllib
from importlib import metadata
from pathlib import Path

from ..errors import ConfigError
from .python_module import PACKAGE, PACKAGE_DIR

CLONE = PACKAGE_DIR.resolve().parent if PACKAGE == "lib" else None
"""the folder of the scripts; None where the program is installed"""

# What texts say of a clone, and the same where the program is installed.
_INSTALLED = (
    (r"(?:python )?\bvalidate_data\.py", "tandem verify"),
    (r"(?:python )?\btrain_2gpu\.py", "tandem train --workers 2"),
    (r"(?:python )?\b(train|validate|classify|export)\.py", r"tandem \1"),
    (r"python -m lib\.(?:commands\.)?(report|doctor)\b", r"tandem \1"),
    (r"python -m preprocessing\.", "python -m tandem.packing."),
    (r"(?:preprocessing/)?generate_toy_data\.sh", "tandem pack --toy"),
    (r"preprocessing/(?:generate_data\.sh|make_\w+\.py)", "tandem pack"),
)


def version() -> str:
    """Return the version of this program; "unknown" for a copy of ``lib`` without pyproject.toml."""
    if CLONE is None:
        return metadata.version("tandem-trainer")
    project = CLONE / "pyproject.toml"
    return (
        str(tomllib.loads(project.read_text(encoding="utf-8"))["project"]["version"]) if project.exists() else "unknown"
    )


def settings_file(name: str) -> Path:
    """Return the path of a file of settings, such as config.yaml: in the clone, or in the installed package."""
    return (CLONE or PACKAGE_DIR / "defaults") / name


def spec_file(workers: int) -> Path:
    """Return the path of the settings for this number of workers. Raises ConfigError, with the known numbers."""
    path = settings_file(f"spec_{workers}gpu.yaml")
    if not path.is_file():
        known = sorted(int(re.findall(r"\d+", spec.name)[0]) for spec in path.parent.glob("spec_*gpu.yaml"))
        raise ConfigError(
            f"there are settings for {', '.join(map(str, known))} workers, not for {workers}; for another number give "
            "devices, batch_size and exchange.method peer"
        )
    return path


def as_called(text: str) -> str:
    """Return ``text``, which names scripts of a clone, with the commands as they are called here."""
    if CLONE is None:
        for script, command in _INSTALLED:
            text = re.sub(script, command, text)
    return text


def command_words(name: str) -> list[str]:
    """Return the words that call another command, as this process was called, from the current folder."""
    script = Path(sys.argv[0])
    if CLONE is not None:
        return [sys.orig_argv[0], str((script.parent if script.suffix == ".py" else CLONE) / f"{name}.py")]
    script_file = next((word for word in sys.orig_argv[:2] if Path(word).name == "tandem"), None)
    on_path = shutil.which("tandem")
    # The shell replaces a command by the path at which it finds it.
    found = "tandem" if on_path and script_file in (None, on_path) else script_file
    return [found, name] if found else [sys.executable, "-m", PACKAGE, name]


def typed_words() -> list[str]:
    """Return the command that this process runs, as a user can type it."""
    command = re.fullmatch(r"tandem (\w+)", sys.argv[0])
    if not command:
        return ["python", *sys.argv]
    start = ["tandem", command[1]] if CLONE is None else ["python", str(CLONE / f"{command[1]}.py")]
    return [*start, *sys.argv[1:]]
