"""How a script ends when something goes wrong."""

import os
import signal
import sys
import traceback
from collections.abc import Callable
from functools import wraps
from typing import ParamSpec

from ..errors import UserError
from ..system.disk import disk_error_text
from ..system.terminal import prepare_streams, print_stderr

_Params = ParamSpec("_Params")


def report_errors(main: Callable[_Params, int]) -> Callable[_Params, int]:
    """Wrap the main function of a script: it prints a UserError as one line and returns exit status 2.

    With --debug the traceback is printed first.
    """

    @wraps(main)
    def wrapped(*args: _Params.args, **kwargs: _Params.kwargs) -> int:
        prepare_streams()
        try:
            return main(*args, **kwargs)
        except UserError as error:
            if "--debug" in sys.argv:
                traceback.print_exc()
            print_stderr(f"error: {error}")
            return 2
        except KeyboardInterrupt:  # once processes are running, their supervisor handles it
            print_stderr("stopped")
            return 128 + signal.SIGINT
        except BrokenPipeError:  # the reader of our output is gone; do not try to flush it at exit
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 0
        except OSError as error:
            if not (trouble := disk_error_text(error)):
                raise
            print_stderr(f"error: {trouble}")
            return 2

    return wrapped
