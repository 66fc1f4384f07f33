# SPDX-License-Identifier: GPL-3.0-or-later
"""``python -m ds2c2`` many times, with what takes seconds to import imported once.

As a script it imports other people's packages, then forks a process a command. Nothing of the
library is imported before the fork: each command imports it for itself, in a process of its own
with its own folder, environment, output and exit code.
"""

import atexit
import gc
import io
import json
import os
import resource
import runpy
import select
import signal
import subprocess
import sys
from pathlib import Path

# What the commands import of others; every optimizer imports torch._dynamo, typer later pydantic.
PACKAGES = (
    "torch", "torch._dynamo", "numpy", "PIL.Image", "constriction", "raptorq", "safetensors.torch", "rich.progress",
    "rich.table", "typer", "pydantic.type_adapter",
)  # fmt: skip

# Names a trouble that a command gets into, see ``make_trouble``.
TROUBLE = "DS2C2_TEST_TROUBLE"
# What Python's audit hooks tell of changes to files; ``os.rename`` is ``os.replace``'s, too.
CHANGES = ("open", "os.rename", "os.link", "os.remove", "os.mkdir", "os.rmdir", "os.truncate")


class Commands:
    """The starting side: a server, and one command at a time from it."""

    def __init__(self, folder: Path) -> None:
        """Start the server; ``folder`` takes what the command under way prints."""
        self._out, self._err = folder / "out", folder / "err"
        # Unbuffered: an answer is either waiting in the pipe, where select sees it, or not there.
        self._server = subprocess.Popen(
            [sys.executable, __file__], bufsize=0, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )

    def run(
        self, arguments: list[str], cwd: Path, env: dict[str, str], timeout: float, stdin: str = os.devnull
    ) -> subprocess.CompletedProcess:
        """Like ``subprocess.run`` of ``python -m ds2c2``; ``stdin`` is a file. Raises ``subprocess.TimeoutExpired``."""
        order = [arguments, str(cwd), env, stdin, str(self._out), str(self._err)]
        self._server.stdin.write(json.dumps(order).encode() + b"\n")
        process = self._answer()
        late = not select.select([self._server.stdout], [], [], timeout)[0]
        if late:
            os.kill(process, signal.SIGKILL)
        code = self._answer()
        out, err = self._out.read_text(), self._err.read_text()
        if late:
            raise subprocess.TimeoutExpired(arguments, timeout, out, err)
        return subprocess.CompletedProcess(arguments, code, out, err)

    def close(self) -> None:
        """End the server; so does the end of this process."""
        self._server.stdin.close()
        self._server.wait()

    def _answer(self) -> int:
        line = self._server.stdout.readline()
        assert line, f"the server of commands is gone, exit code {self._server.wait()}"
        return int(line)


def serve() -> None:
    """Answer each order with the number of its process, then with its exit code.

    Returns in the process of a command, once that has its surroundings, and at the end of orders.
    """
    for order in sys.stdin:
        process = os.fork()
        if process == 0:
            become(*json.loads(order))
            return
        print(process, flush=True)
        _, status = os.waitpid(process, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)
    os._exit(0)


def become(arguments: list[str], cwd: str, env: dict[str, str], stdin: str, out: str, err: str) -> None:
    """Take on a command's folder, environment, output and arguments."""
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(env)
    written = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
    for descriptor, name, mode in ((0, stdin, os.O_RDONLY), (1, out, written), (2, err, written)):
        opened = os.open(name, mode)
        os.dup2(opened, descriptor)
        os.close(opened)
    # As -m has it: first the folder where the command is given.
    sys.path[0] = cwd
    sys.argv[1:] = arguments
    if TROUBLE in env:
        make_trouble(env[TROUBLE], Path(cwd))


def make_trouble(what: str, folder: Path) -> None:
    """``event:N`` kills this process at the Nth time that it changes something in ``folder``, ``bytes:N`` in the middle
    of a write, when a file would become larger; with ``room:N`` there is no room for larger ones. ``count`` writes
    the number of changes to the file ``.changes`` beside ``folder`` when the process ends."""
    kind, _, number = what.partition(":")
    if kind in ("bytes", "room"):
        # What it prints goes to files, too: kept until the end, which has no limit.
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        said = {descriptor: io.StringIO() for descriptor in (1, 2)}
        sys.stdout, sys.stderr = said.values()

        def print_all() -> None:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
            for descriptor, text in said.items():
                os.write(descriptor, text.getvalue().encode())

        atexit.register(print_all)
        resource.setrlimit(resource.RLIMIT_FSIZE, (int(number), before[1]))
        # Python ignores it: then the write fails instead.
        signal.signal(signal.SIGXFSZ, signal.SIG_DFL if kind == "bytes" else signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        return
    seen = 0

    def look(event: str, args: tuple) -> None:
        nonlocal seen
        if event not in CHANGES or event == "open" and not _writes(args[1], args[2]):
            return
        if not isinstance(args[0], str | bytes | os.PathLike) or not _within(args[0], folder):
            return
        seen += 1
        if kind == "event" and seen == int(number):
            os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(look)
    if kind == "count":
        atexit.register(lambda: folder.with_name(".changes").write_text(str(seen)))


def _writes(mode: str | None, flags: int) -> bool:
    return bool(mode and set(mode) & set("wax+")) or bool(flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT))


def _within(path: str, folder: Path) -> bool:
    return os.path.abspath(os.fsdecode(path)).startswith(f"{folder}{os.sep}")


if __name__ == "__main__":
    for package in PACKAGES:
        __import__(package)
    # Else every process goes through the 300,000 objects of these packages when it ends, half a second.
    gc.freeze()
    serve()
    runpy.run_module("ds2c2", run_name="__main__", alter_sys=True)
