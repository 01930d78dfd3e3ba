"""Rules for the repository as a whole."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from typing import Any

from repository import CHECKOUT, ROLES, files, load

#: Package registries are reached by what a machine is set up with; their hosts are written nowhere, nor here.
REGISTRIES = ["py" + "pi.org", "python" + "hosted.org", "deb." + "debian.org", "security." + "debian.org"]
REGISTRIES += ["registry." + "npmjs.org"]


def test_no_host_of_a_package_registry() -> None:
    found = []
    for path in files():
        text = path.read_text(errors="replace").lower()
        found += [f"{path.relative_to(CHECKOUT)}: {host}" for host in REGISTRIES if host in text]
    assert found == []


def test_sanity_tests_have_no_exceptions() -> None:
    assert [path.name for path in (CHECKOUT / "tests" / "sanity").glob("ignore*") if path.read_text().strip()] == []


def test_linters_have_no_exceptions_without_a_reason() -> None:
    exception = re.compile(r"#\s*(noqa|type:\s*ignore|yamllint disable)[\w\s:=,\[\]-]*(?P<reason>.*)")
    found = []
    for path in files():
        before = ""
        for number, line in enumerate(path.read_text(errors="replace").splitlines(), start=1):
            match = exception.search(line)
            if match and not match["reason"] and not before.startswith("#"):
                found.append(f"{path.relative_to(CHECKOUT)}:{number}: {line.strip()}")
            before = line.strip()
    assert found == []


def test_a_status_that_is_not_judged_has_its_reason_beside_it() -> None:
    silent = re.compile(r"\s*(changed_when|failed_when|ignore_errors): (false|true)$")
    found = []
    for path in files():
        if path.suffix == ".yml":
            for number, line in enumerate(path.read_text().splitlines(), start=1):
                match = silent.match(line)
                if match and (match[1], match[2]) != ("changed_when", "true"):
                    found.append(f"{path.relative_to(CHECKOUT)}:{number}: {line.strip()}")
    assert found == []


def test_no_script_forgives_every_failure() -> None:
    """What may fail is told by its status: `|| [ $? = 1 ]`, with a reason beside it."""
    forgiving = re.compile(r"\|\| *(true|:)(?!\w)")
    found = []
    for path in files():
        text = path.read_text(errors="replace")
        if path.suffix in {".sh", ".yml"} or text.startswith("#!"):
            for number, line in enumerate(text.splitlines(), start=1):
                if forgiving.search(line):
                    found.append(f"{path.relative_to(CHECKOUT)}:{number}: {line.strip()}")
    assert found == []


def test_conditions_are_text() -> None:
    """One with ': ' in it and no quotes is a dictionary, which ansible-core 2.18 takes for true."""

    def wrong(part: Any) -> Iterator[str]:
        if isinstance(part, dict):
            for name, value in part.items():
                if name in {"changed_when", "failed_when", "that", "until", "when"}:
                    conditions = value if isinstance(value, list) else [value]
                    yield from (f"{name}: {one}" for one in conditions if not isinstance(one, (str, bool)))
        for inner in part.values() if isinstance(part, dict) else part if isinstance(part, list) else []:
            yield from wrong(inner)

    assert [
        f"{path.relative_to(CHECKOUT)}: {found}"
        for path in files()
        if path.suffix == ".yml"
        for found in wrong(load(str(path.relative_to(CHECKOUT))))
    ] == []


def test_every_folder_of_tests_is_in_a_part() -> None:
    listed = "".join((CHECKOUT / "tests" / "gates" / name).read_text() for name in ("parts.py", "on_host"))
    folders = {path.relative_to(CHECKOUT).parts[1] for path in files() if path.match("tests/**/test_*.py")}
    assert [name for name in folders if f"pytest tests/{name}" not in listed] == []


def test_every_fragment_of_the_changelog_has_a_known_name() -> None:
    names = [path.name for path in (CHECKOUT / "changelogs" / "fragments").iterdir() if path.name != ".keep"]
    assert [name for name in names if not re.fullmatch(r"[a-z0-9-]+\.yml", name)] == []


def test_supported_versions_of_ansible_core_agree() -> None:
    locks = [(CHECKOUT / name).read_text() for name in ("tools/requirements.in", "tests/gates/requirements.in")]
    oldest, newest = re.findall(r"^ansible-core==([\d.]+)\.\*", locks[0], re.MULTILINE)
    assert re.findall(r"^ansible-core==([\d.]+)\.\*", locks[1], re.MULTILINE) == [oldest, newest]
    assert load("meta/runtime.yml")["requires_ansible"] == f">={oldest}.0"
    for role in ROLES:
        assert load(f"roles/{role}/meta/main.yml")["galaxy_info"]["min_ansible_version"] == oldest
    readme = (CHECKOUT / "README.md").read_text()
    assert oldest in readme
    assert newest in readme


def test_python_is_as_the_sanity_tests_want_it() -> None:
    """What ansible-test refuses on a gate and linters do not, told before somebody waits for a gate."""
    beside = (
        "molecule",
        "tools",
        *(f"tests/{part}" for part in ("bad_input", "bench", "consistency", "gates", "hosts")),
    )

    def wrong(node: ast.AST, name: str) -> str | None:
        in_plugins, in_modules = (
            name.startswith("plugins/"),
            name.startswith(("plugins/modules/", "plugins/module_utils/")),
        )
        if isinstance(node, ast.Name) and node.id == "_" and isinstance(node.ctx, ast.Store):
            return "call it _name, not _"
        if isinstance(node, ast.arg) and node.arg == "_":
            return "call it _name, not _"
        if in_plugins and isinstance(node, ast.Assert):
            return "raise AssertionError"
        if (
            in_modules
            and isinstance(node, ast.Call)
            and ast.unparse(node.func) in {"subprocess.run", "subprocess.Popen"}
        ):
            return "call run_command of the module"
        return None

    found = []
    for path in files():
        name = path.relative_to(CHECKOUT).as_posix()
        if path.suffix == ".py" and not name.startswith(tuple(f"{folder}/" for folder in beside)):
            lines = path.read_text().splitlines()
            for node in ast.walk(ast.parse("\n".join(lines))):
                problem = wrong(node, name)
                number = getattr(node, "lineno", 0)
                if problem and "pylint: disable" not in lines[number - 1]:
                    found.append(f"{name}:{number}: {problem}")
    assert found == []


def test_nobody_asks_whether_a_task_failed_that_says_so_itself() -> None:
    """With failed_when, what a task registers has failed where that says so, whatever the module said."""
    texts = {path: path.read_text() for folder in ("roles", "playbooks") for path in (CHECKOUT / folder).rglob("*.yml")}
    lines = [line for text in texts.values() for line in text.splitlines() if "failed_when:" not in line]
    judged = {
        name
        for text in texts.values()
        for task in re.split(r"^\s*- name:", text, flags=re.MULTILINE)
        if "failed_when:" in task
        for name in re.findall(r"^\s+register: (\w+)", task, re.MULTILINE)
    }
    asks = re.compile(rf"\b({'|'.join(sorted(judged))})(\.failed\b| is (not )?(failed|succeeded|success)\b)")
    assert len(judged) > 10
    assert [line.strip() for line in lines if asks.search(line)] == []
