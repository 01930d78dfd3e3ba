"""What can happen to a backup and to a restore, played on the host itself.

faults.py before|after|killed|faults: prints a row of JSON for each thing that was played, with what came of it.
"""

from __future__ import annotations

import hashlib
import http.client
import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
import uploads

COMMAND = "/usr/local/sbin/devpi-backup"
KEPT = Path("/srv/backup-test")
PASSWORD = Path("/etc/devpi-backup/password")
STATUS = Path("/var/lib/devpi-backup/status.json")
#: The data from before upgrades, which no backup has in it.
SNAPSHOTS = Path("/var/lib/devpi/.before")
RELEASES = 300


def run(*command: str) -> tuple[int, str]:
    """Run a command. Returns its status and all that it printed."""
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    return ended.returncode, ended.stdout + ended.stderr


def unit(name: str) -> str:
    """Let a unit run to its end. Returns its result."""
    started = subprocess.run(["systemctl", "start", name], capture_output=True, check=False)
    return "passed" if started.returncode == 0 else "failed"


def said(name: str) -> str:
    """Return what the last backup or drill said of itself."""
    record = json.loads(STATUS.read_text())[name]
    return f"{record['result']}: {record.get('message', '')}".removesuffix(": ")


def row(what: str, outcome: str, begin: float) -> None:
    """Print what was played, and what came of it."""
    print(json.dumps({"what": what, "outcome": outcome, "seconds": round(time.monotonic() - begin, 1)}), flush=True)


def state() -> str:
    """Return how the newest backup is shown."""
    code, shown = run(COMMAND, "status")
    return ("proven" if "PROVEN by" in shown else "unproven") + f", status {code}"


def before() -> None:
    """Upload, back up while uploads go on, and prove the backup. Keep what has to outlive the restore."""
    (SNAPSHOTS / "probe").mkdir(parents=True)
    uploads.main("settled", RELEASES, KEPT / "settled")
    hot = KEPT / "hot"
    with subprocess.Popen([sys.executable, str(Path(__file__).with_name("uploads.py")), "hot", "0", str(hot)]) as load:
        while not hot.exists() or len(hot.read_text().splitlines()) < 5:
            time.sleep(0.1)
        acknowledged = hot.read_text()
        begin = time.monotonic()
        result = unit("devpi-backup.service")
        during = len(hot.read_text().splitlines()) - len(acknowledged.splitlines())
        hot.with_name("hot.stop").touch()
        load.wait()
    row("backup under uploads", f"{result}, uploads {'went on' if during else 'stood still'}, {state()}", begin)
    (KEPT / "before").write_text((KEPT / "settled").read_text() + acknowledged)
    (KEPT / "login").write_text(uploads.login("team", uploads.PASSWORD))
    shutil.copy("/etc/devpi/root-password", KEPT / "root-password")
    shutil.copy("/etc/devpi-ca/ca.crt", KEPT / "ca.crt")
    begin = time.monotonic()
    row("drill", f"{unit('devpi-backup-drill.service')}, {state()}", begin)


def ask(path: str, login: str) -> tuple[int, bytes]:
    """Ask devpi with a login of before."""
    connection = http.client.HTTPConnection("127.0.0.1", 3141, timeout=60)
    connection.request("GET", path, headers={"X-Devpi-Auth": login, "Accept": "text/html"})
    answer = connection.getresponse()
    return answer.status, answer.read()


def after() -> None:
    """Look for everything that was acknowledged, and for what opened the index before."""
    begin = time.monotonic()
    if SNAPSHOTS.exists():
        raise SystemExit(f"{SNAPSHOTS} was in the backup.")
    login = (KEPT / "login").read_text()
    wanted = dict(line.split() for line in (KEPT / "before").read_text().splitlines())
    pages = "".join(ask(f"/team/dev/+simple/{name}/", login)[1].decode() for name in ("settled", "hot"))
    files = {path.name: path for path in Path("/var/lib/devpi/+files/team").rglob("*.whl")}
    lost = [
        name
        for name, digest in wanted.items()
        if f"sha256={digest}" not in pages or hashlib.sha256(files[name].read_bytes()).hexdigest() != digest
    ]
    connection = http.client.HTTPConnection("127.0.0.1", 3141, timeout=60)
    connection.request("GET", "/+api", headers={"X-Devpi-Auth": login, "Accept": "application/json"})
    status = json.load(connection.getresponse())["result"]["authstatus"][0]
    uploads.login("team", uploads.PASSWORD)
    uploads.login("root", (KEPT / "root-password").read_text().strip())
    same = (KEPT / "ca.crt").read_bytes() == Path("/etc/devpi-ca/ca.crt").read_bytes()
    row(
        "wipe and restore",
        f"{len(lost)} acknowledged files lost, passwords open it, login {status}, {'same' if same else 'another'} CA",
        begin,
    )


def killed() -> None:
    """Kill a backup and restores at once and later, each with the next one to make up for it."""
    begin = time.monotonic()
    for delay in (0.3, 1, 2, 3):
        with subprocess.Popen([COMMAND, "backup"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
            time.sleep(delay)
            process.send_signal(signal.SIGKILL)
    row("kill -9 of four backups, then one more", unit("devpi-backup.service"), begin)
    begin = time.monotonic()
    for delay in (0.5, 2, 4, 8):
        with subprocess.Popen(
            [COMMAND, "restore", "latest"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        ) as process:
            time.sleep(delay)
            process.send_signal(signal.SIGKILL)
    code, shown = run(COMMAND, "restore", "latest")
    run("systemctl", "start", "devpi.service")
    confirmed, more = run(COMMAND, "confirm")
    if code or confirmed:
        print(shown, more, file=sys.stderr)
    row("kill -9 of four restores, then one more", "restored" if code == confirmed == 0 else "failed", begin)


def faults() -> None:
    """Give a wrong password, and damage the repository, which is a folder here."""
    begin, password = time.monotonic(), PASSWORD.read_bytes()
    PASSWORD.write_text("another one\n")
    code, shown = run(COMMAND, "init")
    PASSWORD.write_bytes(password)
    row("wrong password", "refused" if code == 1 and "devpi_backup_password" in shown else shown, begin)
    begin = time.monotonic()
    repository = Path("/etc/devpi-backup/repository")
    kept = repository.read_text()
    repository.write_text("/var/lib/devpi-backup/no-disk\n")
    code, shown = run(COMMAND, "backup")
    made = Path("/var/lib/devpi-backup/no-disk").exists()
    repository.write_text(kept)
    row(
        "the disk of the repository is not mounted",
        "refused, nothing is written" if code == 1 and "mounted" in shown and not made else shown,
        begin,
    )
    unit("devpi-backup.service")
    begin = time.monotonic()
    folder = Path(kept.strip().rpartition(":")[2])
    for pack in (folder / "data").rglob("*"):
        if pack.is_file():
            content = bytearray(pack.read_bytes())
            content[: len(content) // 2] = bytes(len(content) // 2)
            pack.chmod(0o600)
            pack.write_bytes(content)
    shutil.rmtree("/var/lib/devpi-backup/cache", ignore_errors=True)
    row("damaged repository", f"drill {unit('devpi-backup-drill.service')}, {state()}", begin)
    print(said("drill"), file=sys.stderr)


if __name__ == "__main__":
    {"before": before, "after": after, "killed": killed, "faults": faults}[sys.argv[1]]()
