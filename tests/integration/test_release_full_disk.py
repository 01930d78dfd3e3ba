"""devpi_release where the disk of the server becomes full.

The data of the server lies on a small file system in memory, which is mounted in a namespace that ends with the server.
"""

from __future__ import annotations

import os
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path

import distributions
import pytest
from ansible_collections.wheelhouse.devpi.plugins.modules import devpi_index, devpi_release
from live import Devpi, ending, free_port


@pytest.fixture(scope="module", name="small")
def _small(major: str, venv: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Devpi, Path]]:
    """Run a server with 8 MiB for its data. Returns it with the place where its disk can be reached from outside."""
    devpi = Devpi(major, venv, tmp_path_factory.mktemp("small"), offline=True)
    disk, port = devpi.folder / "disk", free_port()
    disk.mkdir()
    devpi.write_secret()
    script = f"""set -e
        mount -t tmpfs -o size=8m tmpfs {disk}
        {shlex.join(devpi.command("devpi-init", "--serverdir", disk / "data", "--no-root-pypi"))}
        exec {shlex.join(devpi.command("devpi-server", *devpi.options(disk / "data", port)))}"""
    command = ["unshare", "--mount", "--map-root-user", "sh", "-c", script]
    with (devpi.folder / "log").open("wb") as log:
        server = subprocess.Popen(command, env=devpi.environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    with ending(server):
        devpi.url = f"http://127.0.0.1:{port}"
        devpi.wait_for_answer(server)
        yield devpi, Path(f"/proc/{server.pid}/root{disk}")


def test_the_run_tells_what_happened_and_the_next_one_finishes_the_rest(small: tuple[Devpi, Path]) -> None:
    devpi, disk = small
    distributions.make(devpi.folder / "files")
    large = [str(devpi.folder / "files/large")]
    devpi.run(devpi_index, name="root/dev", acl_upload=["root"])
    free = os.statvfs(disk)
    (disk / "filler").write_bytes(bytes(free.f_bavail * free.f_frsize - 700_000))

    full = devpi.refuses("failed inside (500)", devpi_release, index="root/dev", files=large)
    assert "whether its disk is full" in full["msg"]
    assert full["changes"]
    assert full["pending"]
    assert len(full["changes"]) + len(full["pending"]) == 10
    done = sorted(change.removeprefix("upload file root/dev/large_")[0] for change in full["changes"])
    assert devpi.ask("root/dev").result["projects"] == [f"large-{number}" for number in done]

    (disk / "filler").unlink()
    rest = devpi.run(devpi_release, index="root/dev", files=large)
    assert sorted(rest["changes"]) == sorted(full["pending"])
    again = devpi.run(devpi_release, index="root/dev", files=large)
    assert not again["changed"]
    assert again["already_there"] == 10
