"""argparse whose errors are one line, with exit status 2."""

import argparse
from typing import NoReturn


class PlainParser(argparse.ArgumentParser):
    """Refuses abbreviations and prints its description unchanged."""

    def __init__(self, prog: str | None = None, *, description: str | None) -> None:
        formatter = argparse.RawDescriptionHelpFormatter
        super().__init__(prog, description=description, formatter_class=formatter, allow_abbrev=False)

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"error: {message}; --help lists every option\n")
