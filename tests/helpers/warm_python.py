"""A Python that has already imported what our commands import: each command it is given runs in a fork of it.

Most of what a short command takes is the import of torch, transformers and the harness, some eight seconds; a test that
types twenty commands pays for it once. A command has its own arguments, folder, environment and streams, as if it were
started alone. What is read from the environment at import (``HF_ENDPOINT``, ``OMP_NUM_THREADS``) is that of the start.

    python warm_python.py SOCKET                       serve until standard input ends
    python warm_python.py SOCKET -m lm_eval --tasks x  have it run, and end with its status
"""

import json
import os
import runpy
import signal
import socket
import sys
import threading

MODULES = (
    "torch",
    "transformers",
    "datasets",
    "lm_eval.evaluator",
    "lm_eval.models.hf_vlms",
    "dataset_builder.cli.main",
)


def serve(path: str) -> None:
    """Run what clients ask for, each in a child process; ends with standard input, that is with who started it."""
    for module in MODULES:
        __import__(module)
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(f"{path}.new")
    listening.listen()
    os.rename(f"{path}.new", path)  # now there is somebody to talk to
    threading.Thread(target=lambda: (sys.stdin.read(), os._exit(0)), daemon=True).start()
    while True:
        connection, _ = listening.accept()
        message, streams, _, _ = socket.recv_fds(connection, 1 << 20, 3)
        child = os.fork()
        if not child:
            listening.close()
            run(json.loads(message), streams)
        for stream in streams:
            os.close(stream)
        threading.Thread(target=report, args=(connection, child), daemon=True).start()


def report(connection: socket.socket, child: int) -> None:
    """Tell a client how its command ended."""
    with connection:
        connection.sendall(str(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])).encode())


def run(command: dict, streams: list[int]) -> None:
    """Be the command; does not return."""
    status = 1
    try:
        for number, stream in enumerate(streams):
            os.dup2(stream, number)
        sys.stdin = open(0)  # noqa: SIM115 - lasts as long as the process
        os.chdir(command["folder"])
        os.environ.clear()
        os.environ.update(command["environment"])
        status = obey(command["arguments"])
    except SystemExit as end:
        if isinstance(end.code, str):
            print(end.code, file=sys.stderr)
        status = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def obey(arguments: list[str]) -> int:
    """What Python does with these arguments: ``-m MODULE ...``, ``-c CODE ...``."""
    sys.path[0] = ""
    what, given = arguments[:2]
    sys.argv = [what, *arguments[2:]]
    if what == "-m":
        runpy.run_module(given, run_name="__main__", alter_sys=True)
    else:
        exec(compile(given, "<string>", "exec"), {"__name__": "__main__"})
    return 0


def ask(path: str, arguments: list[str]) -> int:
    """Have a command run with this process's folder, environment and streams; returns its status."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    command = {"folder": os.getcwd(), "environment": dict(os.environ), "arguments": arguments}
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(path)
        socket.send_fds(connection, [json.dumps(command).encode()], [0, 1, 2])
        return int(connection.recv(16) or b"1") & 255


if __name__ == "__main__":
    if sys.argv[2:]:
        sys.exit(ask(sys.argv[1], sys.argv[2:]))
    serve(sys.argv[1])
