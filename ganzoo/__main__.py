"""`python -m ganzoo`, and the `ganzoo` command."""

from __future__ import annotations

import atexit
import contextlib
import os
import sys
from collections.abc import Iterator
from typing import NoReturn


def main() -> None:
    """Run the command line. The user's errors exit with 2 and two lines, cause and cure; bugs keep their traceback."""
    from ganzoo.cli.streams import safe_streams

    with _ended_at_once(), safe_streams():
        _main()


@contextlib.contextmanager
def _ended_at_once() -> Iterator[None]:
    """Around all of the program. One of several processes that ends before the others have parted from it has threads
    of gloo's, which touch Python's objects while the interpreter is taken down, and may so abort the process with words
    of their own (https://github.com/pytorch/pytorch/pull/179291). It does all that a process does at its end but that.
    """
    try:
        yield
    except BaseException as error:
        distributed = sys.modules.get("torch.distributed")
        if distributed is None or not distributed.is_available() or not distributed.is_initialized():
            raise
        code = error.code if isinstance(error, SystemExit) else 1
        if not isinstance(error, SystemExit):
            sys.excepthook(type(error), error, error.__traceback__)
        atexit._run_exitfuncs()
        with contextlib.suppress(OSError, ValueError):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code if isinstance(code, int) else int(code is not None))


def _main() -> None:
    # Spinning OpenMP threads are up to 1.7 times as fast on an idle machine and many times slower on a busy one. Both
    # variables are read once, when torch loads. Whoever has set one knows better; libgomp obeys the second first.
    if not {"OMP_WAIT_POLICY", "GOMP_SPINCOUNT"} & os.environ.keys():
        os.environ |= {"OMP_WAIT_POLICY": "passive", "GOMP_SPINCOUNT": "0"}

    from ganzoo.engine.ledger import process_began

    began = process_began()

    import click

    from ganzoo.cli.main import cli
    from ganzoo.engine.stopping import Stopped
    from ganzoo.errors import UserError
    from ganzoo.files.text import clean

    try:
        # not click's standalone mode, which would answer an interrupt itself, with "Aborted!" and exit code 1
        sys.exit(cli.main(standalone_mode=False, obj=began))
    except UserError as error:
        _tell(f"error: {clean(error.cause)}\n  try: {clean(error.cure)}")
        sys.exit(2)
    except click.ClickException as error:
        if isinstance(error, getattr(click.exceptions, "NoArgsIsHelpError", ())):  # of click 8.2 and later
            error.show()
        else:
            context = getattr(error, "ctx", None)
            command = "ganzoo" if context is None else context.command_path
            _tell(f"error: {clean(error.format_message())}\n  try: {command} --help")
        sys.exit(error.exit_code)
    except Stopped as stopped:
        _leave(stopped.text, stopped.code)
    except (click.Abort, KeyboardInterrupt):
        _leave("interrupted; the same command continues", 130)


def _tell(text: str) -> None:
    """On stderr; that nobody reads it changes no exit code. Of several processes of a run the first does."""
    if _leads():
        with contextlib.suppress(OSError):
            print(text, file=sys.stderr)


def _leads() -> bool:
    from ganzoo.engine.ranks.place import place_of
    from ganzoo.errors import UserError

    try:
        return place_of(os.environ).leads
    except UserError:  # which is being told
        return True


def _leave(text: str, code: int) -> NoReturn:
    """Say what stopped the program, where there still is a terminal, and end it with the signal's exit code."""
    try:
        if _leads():
            print(text, file=sys.stderr, flush=True)
        sys.stdout.flush()
    except OSError:
        os._exit(code)  # what is left to print would raise again, with a code of its own
    sys.exit(code)


if __name__ == "__main__":
    main()
