"""argparse as every script of ours behaves: what cannot be understood is one line, with exit status 2."""

import argparse
from typing import NoReturn


class PlainParser(argparse.ArgumentParser):
    """Takes no abbreviations, and shows its description as it is written."""

    def __init__(self, prog: str | None = None, *, description: str | None) -> None:
        super().__init__(
            prog,
            description=description,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"error: {message}; --help says what there is\n")
