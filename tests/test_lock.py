"""One process at a time trains into a folder; a lock that was left behind locks nothing."""

import errno
import fcntl
import os
import signal
import subprocess
import sys

import pytest

from mmsa_core.errors import UserError
from mmsa_core.run_folder import lock

HOLD = """
import sys, time
from pathlib import Path
from mmsa_core.run_folder import lock
with lock.held(Path(sys.argv[1]), print):
    print("held", flush=True)
    time.sleep(100)
"""


def test_who_holds_it_and_that_it_ends_with_its_process(tmp_path):
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    with process:
        assert process.stdout.readline() == "held\n"
        with (
            pytest.raises(UserError, match=rf"another process is training into it \(process {process.pid} on "),
            lock.held(tmp_path, print),
        ):
            pass
        process.send_signal(signal.SIGKILL)
    assert (tmp_path / lock.FILE).exists()  # stale
    with lock.held(tmp_path, pytest.fail):
        assert str(os.getpid()) in (tmp_path / lock.FILE).read_text()
    assert not (tmp_path / lock.FILE).exists()


@pytest.mark.parametrize("left", [b"", b"no json", b'{"pid": "x"}', b"[1]", b"\xff"])
def test_what_was_left_behind_may_say_anything(tmp_path, left):
    (tmp_path / lock.FILE).write_bytes(left)
    with lock.held(tmp_path, pytest.fail):
        (tmp_path / lock.FILE).write_bytes(left)
        with pytest.raises(UserError, match="is training into it; wait"), lock.held(tmp_path, pytest.fail):
            pass


def test_a_folder_that_is_gone_at_the_end(tmp_path):
    folder = tmp_path / "out"
    with lock.held(folder, pytest.fail):
        (folder / lock.FILE).unlink()
        folder.rmdir()


def test_a_disk_without_locks(tmp_path, monkeypatch):
    said = []

    def unsupported(*_):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", unsupported)
    with lock.held(tmp_path, said.append):
        pass
    assert "knows no locks" in said[0]


def test_another_failure_is_an_error(tmp_path, monkeypatch):
    def failed(*_):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(fcntl, "flock", failed)
    with pytest.raises(OSError, match="Input/output"), lock.held(tmp_path, pytest.fail):
        pass
