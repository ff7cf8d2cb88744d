"""A process that has imported everything runs `mmsa` commands in forks of itself: a command starts in milliseconds.

`python warm.py SOCKET` serves; the script that `client` gives sends it arguments, folder, environment and the three
standard streams, and ends with the command's exit code.
"""

import contextlib
import json
import os
import signal
import socket
import sys
import traceback
from pathlib import Path

CLIENT = """#!{python} -IS
import json, os, socket, sys
with socket.socket(socket.AF_UNIX) as server:
    server.connect({path!r})
    about = {{"argv": sys.argv, "cwd": os.getcwd(), "env": dict(os.environ)}}
    socket.send_fds(server, [json.dumps(about).encode() + b"\\n"], [0, 1, 2])
    code = server.recv(4)
sys.exit(int.from_bytes(code, "big") if code else 1)
"""


def client(path):
    """The text of a script that stands for `mmsa`."""
    return CLIENT.format(python=sys.executable, path=str(path))


def serve(path):
    """Run a command for each connection, until the parent closes our standard input."""
    import numpy  # noqa: F401
    import torch

    torch.set_num_threads(1)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        server.listen()
        print("ready", flush=True)
        while True:
            connection, _ = server.accept()
            if os.fork() == 0:
                server.close()
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                command(connection)
            connection.close()


def command(connection):
    """Become the command; its exit code is sent back."""
    content, streams, _, _ = socket.recv_fds(connection, 1 << 20, 3)
    while not content.endswith(b"\n"):
        content += connection.recv(1 << 20)
    about = json.loads(content)
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115
    sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", encoding="utf-8", closefd=False, buffering=1)  # noqa: SIM115
    os.chdir(about["cwd"])
    os.environ.clear()
    os.environ.update(about["env"])
    sys.argv = about["argv"]
    sys.path[:0] = filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))  # as a new process has it
    code = 1
    try:
        mmsa_core_main(about["argv"][1:])
        code = 0
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    except BaseException:
        traceback.print_exc()
    finally:
        with contextlib.suppress(OSError):
            sys.stdout.flush()
            sys.stderr.flush()
            connection.sendall(code.to_bytes(4, "big"))
        os._exit(code)


def mmsa_core_main(arguments):
    from mmsa_core.cli import main

    main(arguments, prog_name="mmsa")


if __name__ == "__main__":
    serve(Path(sys.argv[1]))
