"""Run the parts of the test suite, several side by side, and count what passed.

Each part writes to .cache/test/PART.log. A part that could not run has failed. Nothing is left running, also when the
run is stopped. The last line is 'N passed, N failed'.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import durations
from parts import CHECKOUT, Part, changed_since, choose, parts, touched

LOGS = CHECKOUT / ".cache" / "test"
#: Seconds between two signs of life.
HEARTBEAT = 20
#: Seconds that a part has to end after it was asked to.
GRACE = 10
#: Seconds after which a part counts as hanging.
LIMIT = 1800
#: What asks the run to end: Ctrl-C, a kill, a terminal that was closed.
ENDINGS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
#: What Ansible prints where it warns. In a scenario that is a failure; the gates look for it themselves.
WARNING = re.compile(r"\[(?:DEPRECATION )?WARNING\]: .*")
#: Bytes of memory that a part may need.
MEMORY = 4 * 2**30
#: Lines that are shown of what a command that failed said.
TAIL = 30


@dataclass
class Result:
    """How a part ended."""

    name: str
    passed: int = 0
    failed: int = 0
    seconds: float = 0
    #: Seconds of a core that it used, on its hosts as well.
    core_seconds: float = 0
    #: What went wrong, each with the end of what was said about it.
    problems: list[str] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Whether everything passed."""
        return self.failed == 0

    def fail(self, problem: str, output: str = "", cases: int = 1) -> None:
        """Count failed test cases, and keep why."""
        self.failed += cases
        self.problems.append("\n".join([*output.rstrip().splitlines()[-TAIL:], f"--- failed: {problem}"]))

    def count(self, command: str, status: int, output: str) -> None:
        """Count the test cases that a command tells of, or else the command as one."""
        passed, failed = counted(output)
        self.passed += passed
        if status != 0:
            self.fail(f"{command} (exit status {status})", output, failed or 1)
        elif failed:
            self.fail(f"{command} ({failed} failed or were skipped)", output, failed)
        elif command.startswith("molecule ") and (warning := WARNING.search(output)):
            self.fail(f"{command} (Ansible warned)", warning[0])
        elif not passed:
            self.passed += 1


def counted(output: str) -> tuple[int, int]:
    """Return how many test cases passed and failed by the closing lines of pytest and the gates.

    >>> counted("=== 1 failed, 20 passed, 2 skipped in 3.21s ===")
    (20, 3)
    """
    passed = failed = 0
    for line in output.splitlines():
        closing = re.fullmatch(r"((?:\d+ [a-z]+(?:, )?)+)(?: in .*)?", line.strip("= "))
        for number, word in re.findall(r"(\d+) (\w+)", closing[1] if closing else ""):
            if word == "passed":
                passed += int(number)
            elif word in {"failed", "error", "errors", "skipped", "xfailed"}:
                failed += int(number)
    return passed, failed


class CoreSeconds:
    """Counts the seconds of cores that a part uses: in its processes, and on the hosts that it takes down."""

    def __init__(self, name: str) -> None:
        #: tests/hosts/hosts writes here, for each host that it takes down.
        self.of_hosts = log_of(name).with_suffix(".cores")
        self.of_hosts.unlink(missing_ok=True)
        self._of_processes = 0.0

    def wait(self, process: subprocess.Popen[bytes], seconds: float) -> bool:
        """Wait for a process, and count what it and its children used. Tells whether it ended in time."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            pid, status, used = os.wait4(process.pid, os.WNOHANG)
            if pid:
                process.returncode = os.waitstatus_to_exitcode(status)
                self._of_processes += used.ru_utime + used.ru_stime
                return True
            time.sleep(0.1)
        return False

    def total(self) -> float:
        """Return the sum so far."""
        lines = self.of_hosts.read_text().split() if self.of_hosts.exists() else []
        return self._of_processes + sum(int(microseconds) for microseconds in lines) / 1e6


class Suite:
    """Runs parts and knows what is running."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._stopped = threading.Event()
        self._processes: set[subprocess.Popen[bytes]] = set()
        self._running: dict[str, float] = {}

    def run(self, chosen: Iterable[Part], jobs: int) -> list[Result]:
        """Run the parts, so many side by side. Returns the results of those that ended, in the order of the parts."""
        results: dict[str, Result] = {}
        names = []
        with ThreadPoolExecutor(jobs) as pool:
            pending: set[Future[Result]] = set()
            for part in chosen:
                names.append(part.name)
                pending.add(pool.submit(self._part, part))
            try:
                while pending:
                    done, pending = wait(pending, HEARTBEAT, FIRST_COMPLETED)
                    for future in done:
                        results[future.result().name] = future.result()
                    if not done:
                        self._heartbeat()
            except KeyboardInterrupt:
                self._say("Stopping; taking down what was started.")
                self._stop(pool)
                raise
        return [results[name] for name in names]

    def _part(self, part: Part) -> Result:
        result = Result(part.name)
        begin = self._running[part.name] = time.monotonic()
        self._say(f"{part.name:20} begins")
        cores = CoreSeconds(part.name)
        try:
            with log_of(part.name).open("ab") as log:
                fcntl.flock(log, fcntl.LOCK_EX | fcntl.LOCK_NB)
                log.truncate(0)
                self._commands(part, log, result, cores)
        except BlockingIOError:
            result.fail("another run is at this part")
        finally:
            del self._running[part.name]
        result.seconds = time.monotonic() - begin
        result.core_seconds = cores.total()
        self._say(f"{part.name:20} {'ok' if result.ok else 'FAILED'} ({result.seconds:.0f} s)")
        return result

    def _commands(self, part: Part, log: IO[bytes], result: Result, cores: CoreSeconds) -> None:
        end = time.monotonic() + LIMIT
        try:
            for command in part.commands:
                if self._stopped.is_set():
                    break
                offset = log.seek(0, os.SEEK_END)
                status = self._command(command, log, max(1, end - time.monotonic()), cores)
                output = log_of(part.name).read_bytes()[offset:].decode(errors="replace")
                result.count(command, status, output)
        finally:
            if part.cleanup and self._command(part.cleanup, log, 120, cores, also_stopped=True) != 0:
                result.fail(f"{part.cleanup} (something may be left)", log_of(part.name).read_text(errors="replace"))

    def _command(
        self, command: str, log: IO[bytes], seconds: float, cores: CoreSeconds, also_stopped: bool = False
    ) -> int:
        """Run a command in a process group of its own. Returns its exit status; nothing of it is left running."""
        log.write(f"\n$ {command}\n".encode())
        log.flush()
        begin = time.monotonic()
        process = subprocess.Popen(
            ["bash", "-c", command],
            cwd=CHECKOUT,
            env={
                **os.environ,
                "PATH": f"{CHECKOUT}/.venv/bin:{os.environ['PATH']}",
                "ANSIBLE_FORCE_COLOR": "0",
                "HOSTS_CORE_SECONDS": str(cores.of_hosts),
            },
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        if not also_stopped:
            self._processes.add(process)
            if self._stopped.is_set():
                end_group(process)
        try:
            if cores.wait(process, seconds):
                log.write(f"\n{time.monotonic() - begin:.0f} s: {command[:80]}\n".encode())
                return process.returncode
            log.write(f"\nStopped: took longer than {seconds:.0f} s.\n".encode())
            return 124
        finally:
            end_group(process)
            self._processes.discard(process)

    def _stop(self, pool: ThreadPoolExecutor) -> None:
        # The second Ctrl-C of somebody in a hurry must not leave containers behind.
        for number in ENDINGS:
            signal.signal(number, signal.SIG_IGN)
        self._stopped.set()
        pool.shutdown(wait=False, cancel_futures=True)
        for process in list(self._processes):
            end_group(process)

    def _heartbeat(self) -> None:
        for name, begin in list(self._running.items()):
            news = latest(log_of(name).read_text(errors="replace"))
            self._say(f"{name:20} … {time.monotonic() - begin:4.0f} s: {news[:80]}")


def latest(output: str) -> str:
    """Return what tells most of where a part is: the last task of Ansible, or else the last line."""
    lines = [line.strip() for line in re.sub(r"\x1b\[[0-9;]*m", "", output).splitlines() if line.strip()]
    tasks = (line.rstrip(" *") for line in reversed(lines) if re.match(r"(TASK|RUNNING HANDLER) \[", line))
    return next(tasks, lines[-1] if lines else "")


def end_group(process: subprocess.Popen[bytes]) -> None:
    """End what is left of the process group that a process leads."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
        end = time.monotonic() + GRACE
        while time.monotonic() < end:
            process.poll()
            os.killpg(process.pid, 0)
            time.sleep(0.1)
        os.killpg(process.pid, signal.SIGKILL)


def log_of(name: str) -> Path:
    """Return where a part writes."""
    return LOGS / f"{name}.log"


def report(results: list[Result], seconds: float, before: dict[str, float]) -> None:
    """Print what failed, the table and the count."""
    for result in results:
        if not result.ok:
            print(f"\n=== {result.name} failed; all it said is in {log_of(result.name).relative_to(CHECKOUT)}")
            print("\n\n".join(result.problems))
    print(f"\n{'part':20} {'result':7} {'passed':>6} {'failed':>6} {'seconds':>8} {'of cores':>9} {'share':>6}")
    everything = sum(result.core_seconds for result in results) or 1
    for result in sorted(results, key=lambda result: -result.core_seconds):
        verdict = "ok" if result.ok else "FAILED"
        counts = f"{result.passed:6} {result.failed:6} {result.seconds:8.0f} {result.core_seconds:9.0f}"
        print(f"{result.name:20} {verdict:7} {counts} {result.core_seconds / everything:6.0%}")
    taken = {result.name: result.seconds for result in results}
    print(*(f"\n{sentence}" for sentence in durations.grown(before, taken)))
    print(f"Together {seconds:.0f} s, {everything:.0f} s of cores; logs in {LOGS.relative_to(CHECKOUT)}/\n")
    print(f"{sum(result.passed for result in results)} passed, {sum(result.failed for result in results)} failed")
    durations.keep({result.name: result.seconds for result in results if result.ok})


def lanes() -> int:
    """Return how many parts run side by side: one more than there are cores, as scenarios wait, if memory allows."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return max(1, min((os.cpu_count() or 1) + 1, memory // MEMORY))


def main() -> int:
    """Run what the command line says. Returns the exit status."""
    known = parts()
    parser = argparse.ArgumentParser(prog="tests/run", description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("parts", nargs="*", metavar="PART", help="what --list names, or the word before its hyphen")
    parser.add_argument("--list", action="store_true", help="list the parts and their commands")
    parser.add_argument("--jobs", type=int, default=lanes(), help="how many parts run side by side")
    parser.add_argument(
        "--changed",
        nargs="?",
        const="main",
        metavar="REVISION",
        help="the parts that look at what differs from a revision, without one from main",
    )
    options = parser.parse_args()
    names = options.parts
    if options.changed:
        names = touched(changed_since(options.changed))
        if not names:
            print(f"Nothing differs from {options.changed}.\n\n0 passed, 0 failed")
            return 0
    try:
        chosen = choose(known, names)
    except KeyError as name:
        parser.error(f"there is no part {name}; tests/run --list shows them")
    if options.list:
        for part in chosen:
            print(f"{part.name}", *part.commands, sep="\n    ")
        return 0

    begin = time.monotonic()
    LOGS.mkdir(parents=True, exist_ok=True)
    for number in ENDINGS:
        signal.signal(number, signal.default_int_handler)

    def say(text: str) -> None:
        print(f"[{time.monotonic() - begin:5.0f} s] {text}", flush=True)

    try:
        suite = Suite(say)
        before = durations.known()
        beside = durations.longest_first([part for part in chosen if not part.alone], before)
        results = suite.run(beside, max(1, options.jobs))
        results += suite.run([part for part in chosen if part.alone], 1)
    except KeyboardInterrupt:
        print("Stopped; nothing is left running.", file=sys.stderr)
        return 130
    report(results, time.monotonic() - begin, before)
    return 0 if all(result.ok for result in results) else 1


if __name__ == "__main__":
    sys.exit(main())
