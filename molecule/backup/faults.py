"""What can happen to a backup and to a restore, played on the host itself.

faults.py before|storage|begin|after|bare|seven|killed|faults: prints a row of JSON for each thing that was played, with
what came of it. On the first host, clients install and upload meanwhile (load.py).
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
import index
import uploads
from load import READERS
from make_wheel import make_wheel

COMMAND = "/usr/local/sbin/devpi-backup"
KEPT = Path("/srv/backup-test")
BEGUN = KEPT / "begun.json"
CONFIGURATION = Path("/etc/devpi-backup")
STATUS = Path("/var/lib/devpi-backup/status.json")
DATA = Path("/var/lib/devpi")
#: The data from before upgrades, which no backup has in it.
SNAPSHOTS = DATA / ".before"
RELEASES = 300


def run(*command: str) -> tuple[int, str]:
    """Run a command. Returns its status and all that it printed."""
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    return ended.returncode, ended.stdout + ended.stderr


def unit(name: str) -> str:
    """Let a unit run to its end. Returns its result."""
    return "failed" if run("systemctl", "start", name)[0] else "passed"


def state() -> str:
    """Return how the newest backup is shown."""
    code, shown = run(COMMAND, "status")
    return ("proven" if "PROVEN by" in shown else "unproven") + f", status {code}"


def told() -> dict[str, float]:
    """Return what became of installs and uploads so far."""
    with contextlib.suppress(OSError):
        return dict(json.loads((KEPT / "load.json").read_text()))
    return {"installs": 0, "uploads": 0}


def until_more(than: dict[str, float]) -> None:
    """Wait until there were two more installs and uploads."""
    end = time.monotonic() + 180
    while any(told()[what] < than[what] + 2 for what in ("installs", "uploads")):
        if time.monotonic() > end:
            raise SystemExit(f"Nobody can install and upload: {told()}")
        time.sleep(0.1)


def begin() -> None:
    """Begin to measure, anew."""
    run("systemctl", "stop", "load.service")
    for file in (KEPT / "load.json", READERS):
        file.unlink(missing_ok=True)
    subprocess.run(["systemctl", "start", "load.service"], check=True)
    until_more({"installs": 0, "uploads": 0})
    BEGUN.write_text(json.dumps({"time": time.time(), "seen": seen()}))


def row(what: str, outcome: str, stopped: bool = False) -> None:
    """Print what was played since the beginning, what came of it, and what readers and writers saw."""
    seconds = time.time() - json.loads(BEGUN.read_text())["time"]
    until_more(told())
    load = told()
    readers = f"{load['failed_installs']} installs failed"
    if stopped:
        readers = f"{json.loads(READERS.read_text()):.1f} s"
    written = {"what": what, "outcome": outcome, "seconds": round(seconds, 1)}
    print(json.dumps({**written, "readers": readers, "writers": f"{load['pause']:.1f} s"}), flush=True)


def lonely(what: str, outcome: str, begun: float) -> None:
    """Print a row of something that nobody installs from meanwhile."""
    written = {"what": what, "outcome": outcome, "seconds": round(time.time() - begun, 1)}
    print(json.dumps({**written, "readers": "-", "writers": "-"}), flush=True)


@contextlib.contextmanager
def changed(path: Path, text: str) -> Iterator[None]:
    """Let a file say something else for a while."""
    kept = path.read_bytes()
    path.write_text(text)
    yield
    path.write_bytes(kept)


def ask(path: str, login: str, accept: str = "text/html") -> tuple[int, bytes]:
    """Ask devpi with a login of before."""
    connection = uploads.devpi()
    connection.request("GET", path, headers={"X-Devpi-Auth": login, "Accept": accept})
    answer = connection.getresponse()
    return answer.status, answer.read()


def seen() -> int:
    """Return how often the upstream was asked for a file. The bare host has no upstream."""
    try:
        with urllib.request.urlopen(f"{(KEPT / 'url').read_text().strip()}/+seen", timeout=30) as answer:
            return sum(path.startswith("/files/") for path, _agent in json.load(answer))
    except OSError:
        return 0


def before() -> None:
    """Upload, back up while uploads go on, and prove the backup. Keep what has to outlive the restore."""
    SNAPSHOTS.mkdir(exist_ok=True)
    (SNAPSHOTS / "probe").mkdir()
    login = index.login("team", uploads.PASSWORD)
    (KEPT / "token").write_text(login)
    (KEPT / "login").write_text(base64.b64encode(login.encode()).decode())
    index.upload("ours", "1.0", login)
    path, digest = next(iter(index.page("theirs").items()))
    (KEPT / "mirrored").write_text(f"{path} {digest}")
    uploads.main("settled", RELEASES, KEPT / "settled")
    begin()
    hot = KEPT / "hot"
    with subprocess.Popen([sys.executable, str(Path(__file__).with_name("uploads.py")), "hot", "0", str(hot)]) as load:
        while not hot.exists() or len(hot.read_text().splitlines()) < 5:
            time.sleep(0.1)
        acknowledged = hot.read_text()
        result = unit("devpi-backup.service")
        during = len(hot.read_text().splitlines()) - len(acknowledged.splitlines())
        hot.with_name("hot.stop").touch()
        load.wait()
    row("backup under uploads", f"{result}, uploads {'went on' if during else 'stood still'}, {state()}")
    (KEPT / "before").write_text((KEPT / "settled").read_text() + acknowledged)
    shutil.copy("/etc/devpi/root-password", KEPT / "root-password")
    shutil.copy("/etc/devpi-ca/ca.crt", KEPT / "ca.crt")
    begin()
    row("drill", f"{unit('devpi-backup-drill.service')}, {state()}")


def storage() -> None:
    """Back up to S3-like storage, and prove that; and with a wrong key."""
    begin()
    result = unit("devpi-backup.service"), unit("devpi-backup-drill.service")
    _code, shown = run(
        "sh",
        "-c",
        f"set -a; . {CONFIGURATION}/environment; exec restic snapshots --json --no-cache "
        f"--repository-file {CONFIGURATION}/repository --password-file {CONFIGURATION}/password",
    )
    row(
        "backup to S3-like storage with mirrored files, and its drill",
        f"{' and '.join(result)}, {len(json.loads(shown))} snapshot is listed, {state()}",
    )
    begin()
    with changed(CONFIGURATION / "environment", "AWS_ACCESS_KEY_ID=AKIAKEEPER\nAWS_SECRET_ACCESS_KEY=wrong\n"):
        code, shown = run(COMMAND, "backup")
    row("a wrong key of the S3-like storage", "refused" if code == 1 and "cannot be reached" in shown else shown)


def found() -> str:
    """Look for everything that was acknowledged, and for what opened the index before."""
    login = (KEPT / "login").read_text()
    wanted = dict(line.split() for line in (KEPT / "before").read_text().splitlines())
    pages = "".join(ask(f"/team/dev/+simple/{name}/", login)[1].decode() for name in ("settled", "hot"))
    files = {path.name: path for path in (DATA / "+files/team").rglob("*.whl")}
    lost = [
        name
        for name, digest in wanted.items()
        if f"sha256={digest}" not in pages or hashlib.sha256(files[name].read_bytes()).hexdigest() != digest
    ]
    status = json.loads(ask("/+api", login, "application/json")[1])["result"]["authstatus"][0]
    uploads.login("team", uploads.PASSWORD)
    uploads.login("root", (KEPT / "root-password").read_text().strip())
    same = (KEPT / "ca.crt").read_bytes() == Path("/etc/devpi-ca/ca.crt").read_bytes()
    path, digest = (KEPT / "mirrored").read_text().split()
    answered, content = ask(path, login, "*/*")
    again = seen() > json.loads(BEGUN.read_text())["seen"]
    mirrored = "fetched again" if again else "from the backup"
    if answered != 200 or hashlib.sha256(content).hexdigest() != digest:
        mirrored = f"lost: {answered}"
    return (
        f"{len(lost)} acknowledged files lost, passwords open it, login {status}, token {with_token()}, "
        f"{'same' if same else 'another'} CA, mirrored file {mirrored}"
    )


def with_token() -> str:
    """Upload with a token from before the backup. Returns what came of it."""
    token = base64.b64encode(f"team:{(KEPT / 'upload-token').read_text().strip()}".encode()).decode()
    version = f"1.{time.time_ns()}"
    fields = {":action": "file_upload", "name": "tokened", "version": version, "filetype": "bdist_wheel"}
    headers = {"Authorization": f"Basic {token}", "Content-Type": "multipart/form-data; boundary=devpi"}
    connection = uploads.devpi()
    wheel = make_wheel("tokened", version, KEPT)
    connection.request("POST", uploads.INDEX, uploads.form(fields, wheel), headers)
    wheel.unlink()
    status = connection.getresponse().status
    return "uploads" if status == 200 else f"is refused: {status}"


def after() -> None:
    """Look after the wiped host was restored."""
    if (SNAPSHOTS / "probe").exists():
        raise SystemExit(f"{SNAPSHOTS} was in the backup.")
    row("wipe and restore", found(), stopped=True)


def bare() -> None:
    """Look after a bare host got the backup of another one."""
    begun = json.loads(BEGUN.read_text())["time"]
    lonely("playbooks/restore.yml on a bare Debian 13, from the S3-like storage", found(), begun)


def seven() -> None:
    """Back up devpi 7, prove the backup, and restore it."""
    begun = time.time()
    said = [unit("devpi-backup.service"), unit("devpi-backup-drill.service"), state()]
    code, shown = run(COMMAND, "restore", "latest")
    run("systemctl", "start", "devpi.service")
    confirmed, more = run(COMMAND, "confirm")
    if code or confirmed:
        print(shown, more, file=sys.stderr)
    said.append("restored" if code == confirmed == 0 else "not restored")
    lonely("backup, drill and restore of that host's devpi 7.0.0b4", f"{', '.join(said)}; {found()}", begun)


def killed() -> None:
    """Kill a backup and restores at once and later, each with the next one to make up for it."""
    begin()
    kill("backup", 0.3, 1, 2)
    row("kill -9 of three backups, then one more", unit("devpi-backup.service"))
    begin()
    kill("restore latest", 1, 3, 6)
    code, shown = run(COMMAND, "restore", "latest")
    run("systemctl", "start", "devpi.service")
    confirmed, more = run(COMMAND, "confirm")
    if code or confirmed:
        print(shown, more, file=sys.stderr)
    row("kill -9 of three restores, then one more", "restored" if code == confirmed == 0 else "failed", stopped=True)


def kill(command: str, *delays: float) -> None:
    """Kill a command after each of these seconds."""
    for delay in delays:
        with subprocess.Popen(
            [COMMAND, *command.split()], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        ) as process:
            time.sleep(delay)
            process.send_signal(signal.SIGKILL)


def faults() -> None:
    """Give a wrong password, and damage the repository, which is a folder here."""
    begin()
    with changed(CONFIGURATION / "password", "another one\n"):
        code, shown = run(COMMAND, "init")
    row("wrong password", "refused" if code == 1 and "devpi_backup_password" in shown else shown)
    begin()
    repository = CONFIGURATION / "repository"
    with changed(repository, "/var/lib/devpi-backup/no-disk\n"):
        code, shown = run(COMMAND, "backup")
    made = Path("/var/lib/devpi-backup/no-disk").exists()
    row(
        "the disk of the repository is not mounted",
        "refused, nothing is written" if code == 1 and "mounted" in shown and not made else shown,
    )
    unit("devpi-backup.service")
    begin()
    folder = Path(repository.read_text().strip().rpartition(":")[2])
    for pack in (folder / "data").rglob("*"):
        if pack.is_file():
            content = bytearray(pack.read_bytes())
            content[: len(content) // 2] = bytes(len(content) // 2)
            pack.chmod(0o600)
            pack.write_bytes(content)
    shutil.rmtree("/var/lib/devpi-backup/cache", ignore_errors=True)
    row("damaged repository", f"drill {unit('devpi-backup-drill.service')}, {state()}")
    print(json.loads(STATUS.read_text())["drill"].get("message"), file=sys.stderr)
    run("systemctl", "stop", "load.service")


if __name__ == "__main__":
    {function.__name__: function for function in (before, storage, begin, after, bare, seven, killed, faults)}[
        sys.argv[1]
    ]()
