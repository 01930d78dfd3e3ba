"""The parts of the test suite, and which of them a change touches."""

from __future__ import annotations

import fnmatch
import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Part:
    """A part of the suite. Each of its commands runs, also when one before it failed."""

    name: str
    commands: Sequence[str]
    #: Takes down what the commands may have left; runs at the end, whatever happened.
    cleanup: str = ""
    #: Measures: nothing may run beside it.
    alone: bool = False
    #: The gates do the same: it runs only where it is named.
    repeated: bool = False

    def is_called(self, name: str) -> bool:
        """Whether a name on the command line stands for this part."""
        return name == self.name or self.name.startswith(f"{name}-")


def gate(suite: str, devpi: int) -> Part:
    """Return the part that tries the collection on a disposable host with the ansible-core for its Python."""
    name = f"gate-{suite}"
    steps = ["up", "sanity", "units", "package", f"integration {devpi}"]
    return Part(name, [f"tests/gates/gate {suite} {step}" for step in steps], f"tests/hosts/hosts down {name}")


def molecule(scenario: str) -> Part:
    """Return the part that runs a scenario of molecule."""
    return Part(
        f"molecule-{scenario}",
        [f"molecule test --scenario-name {scenario}"],
        f"molecule destroy --scenario-name {scenario}",
    )


def bench(name: str) -> Part:
    """Return the part that runs a benchmark, in a new virtual environment with what the role devpi_server installs."""
    venv, lock = f".cache/bench-{name}", "roles/devpi_server/files/devpi-server.txt"
    install = f"{venv}/bin/pip install -qq --disable-pip-version-check --require-hashes --requirement {lock}"
    return Part(f"bench-{name}", [f"python -m venv --clear {venv} && {install} && python tests/bench/{name}.py {venv}"])


def plugin(devpi: int) -> Part:
    """Return the part that tries the plugin of devpi-server in a major version of it, with the plugins of the role."""
    venv, files = f".cache/plugin-{devpi}", "roles/devpi_server/files"
    lock = {6: "devpi-server.txt", 7: "devpi-server-7.txt"}[devpi]
    install = f"{venv}/bin/pip install -qq --disable-pip-version-check --require-hashes"
    locks = [f"{files}/build.txt", f"{files}/{lock}", f"{files}/plugins/tokens.txt", "tests/plugin/requirements.txt"]
    steps = [
        f"python -m venv --clear {venv}",
        *(f"{install} --requirement {lock}" for lock in locks),
        f"{install} --no-build-isolation --no-deps --requirement {files}/plugins/lockdown.txt",
        # devpi's own libraries warn of each other.
        f"PYTHONDONTWRITEBYTECODE=1 PYTHONPATH={files} {venv}/bin/python -m pytest tests/plugin -W ignore",
    ]
    return Part(f"plugin-{devpi}", [" && ".join(steps)])


def scenarios() -> list[str]:
    """Return the scenarios of molecule."""
    return sorted(path.parent.name for path in (CHECKOUT / "molecule").glob("*/molecule.yml"))


def parts() -> list[Part]:
    """Return all parts."""
    return [
        # Otherwise ansible-lint prefers a collection that was installed for the user, of whatever version.
        Part(
            "lint-yaml",
            [
                "ANSIBLE_HOME=$PWD/.ansible ansible-lint --offline --profile production",
                "yamllint --strict .",
            ],
        ),
        Part(
            "lint-python",
            [
                "ruff check .",
                "ruff format --check .",
            ],
        ),
        Part("lint-types", ["python tests/gates/typed.py"]),
        Part("lint-lua", ["luacheck --quiet roles/devpi_nginx/files/lua", "busted"]),
        Part("unit", ["pytest tests/unit -n 3"], repeated=True),
        plugin(6),
        plugin(7),
        Part("consistency", ["pytest tests/consistency"]),
        Part(
            "docs",
            [
                "antsibull-docs lint-collection-docs --plugin-docs --disallow-unknown-collection-refs .",
                "antsibull-changelog lint",
                "python tools/docs.py --check",
            ],
        ),
        Part("importer", ["tests/gates/importer"]),
        gate("bookworm", devpi=6),
        gate("trixie", devpi=7),
        *[molecule(name) for name in scenarios()],
        bench("layout"),
        Part("bad-input", ["pytest tests/bad_input"], "tests/hosts/hosts down bad-input"),
        Part("bench-front", ["tests/bench/front/run"], "tests/hosts/hosts down bench-front", alone=True),
    ]


#: Which parts look at a file, by the first pattern that fits its path; a name stands for several parts as it does on
#: the command line. `*` stands for slashes too. LINT comes on top for each file.
LINT = ["lint", "consistency"]
SYSTEM = ["molecule", "bad-input"]
TOUCHES: list[tuple[str, list[str]]] = [
    ("molecule/shared/*", ["molecule"]),
    ("molecule/*", ["molecule-{1}"]),
    (".config/molecule/*", ["molecule"]),
    ("tests/hosts/*", [*SYSTEM, "gate", "bench-front"]),
    ("tests/unit/*", ["unit", "gate"]),
    ("tests/plugin/*", ["plugin"]),
    ("tests/integration/*", ["gate"]),
    ("tests/upstream/*", ["unit", "gate", "bench-front", "molecule"]),
    ("tests/bad_input/*", ["bad-input"]),
    ("tests/bench/front/*", ["bench-front"]),
    ("tests/bench/*", ["bench-layout"]),
    ("tests/gates/importer*", ["importer"]),
    ("tests/gates/*", ["gate"]),
    ("tests/consistency/*", []),
    ("tests/run", []),
    ("tools/docs*", ["docs"]),
    ("tools/*", []),
    ("docs/security.md", ["docs", "molecule"]),
    ("docs/*", ["docs"]),
    ("changelogs/*", ["docs"]),
    ("plugins/*", ["unit", "gate", "docs", "importer", "bench-layout", *SYSTEM]),
    ("roles/devpi_client/*", ["unit", "docs", "importer", *SYSTEM]),
    ("roles/devpi_layout/*", ["unit", "docs", "importer", *SYSTEM]),
    ("roles/devpi_server/files/*", ["unit", "plugin", "docs", "importer", "bench", *SYSTEM]),
    ("roles/devpi_backup/*", ["unit", "docs", "importer", *SYSTEM]),
    ("roles/*", ["unit", "docs", "importer", "bench", *SYSTEM]),
    ("playbooks/*", ["docs", "importer", *SYSTEM]),
    ("inventory/*", ["gate"]),
    ("meta/*", ["gate", "docs", "importer", *SYSTEM]),
    ("galaxy.yml", ["gate", "docs", "importer"]),
    ("ansible.cfg", [*SYSTEM, "bench-front"]),
    # Settings of tools, and pages that only people read.
    ("*", []),
]


def touched(paths: Iterable[str]) -> list[str]:
    """Return the names of the parts that look at any of these files, given as paths below the checkout.

    >>> touched(["molecule/tls/verify.yml"])
    ['lint', 'consistency', 'molecule-tls']
    """
    names = []
    for path in paths:
        parts_of_path = path.split("/")
        found = next(names for pattern, names in TOUCHES if fnmatch.fnmatchcase(path, pattern))
        names += [*LINT, *(name.format(*parts_of_path) for name in found)]
    return list(dict.fromkeys(names))


def changed_since(revision: str) -> list[str]:
    """Return the files that differ from where this branch left a revision, with those that git does not know yet."""

    def git(*arguments: str) -> list[str]:
        done = subprocess.run(["git", *arguments], cwd=CHECKOUT, check=True, capture_output=True, text=True)
        return done.stdout.splitlines()

    [base] = git("merge-base", "HEAD", revision)
    return sorted({*git("diff", "--name-only", base), *git("ls-files", "--others", "--exclude-standard")})


def choose(known: Sequence[Part], names: Sequence[str]) -> list[Part]:
    """Return the named parts, without a name all but those that are repeated.

    A name such as `gate` stands for all parts that begin with `gate-`.

    Raises KeyError with a name that stands for none.
    """
    for name in names:
        if not any(part.is_called(name) for part in known):
            raise KeyError(name)
    if not names:
        return [part for part in known if not part.repeated]
    return [part for part in known if any(part.is_called(name) for name in names)]
