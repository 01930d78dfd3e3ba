"""devpi_prefetch with an upstream on loopback."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.wheelhouse.devpi.plugins.modules import devpi_index, devpi_prefetch
from ansible_collections.wheelhouse.devpi.tests.upstream.upstream import Behaviour, Upstream
from live import SIMPLE_JSON, Devpi, run_by_ansible

BETA = "beta-1.0-cp313-cp313-manylinux_2_17_x86_64.manylinux2014_x86_64.whl"
PROJECTS = {
    "alpha": {
        "alpha-1.0-py3-none-any.whl": "wheel of alpha",
        "alpha-1.0.tar.gz": "source of alpha",
        "alpha-2.0.tar.gz": "a version that nobody wants",
    },
    "beta": {
        BETA: "beta for Linux",
        "beta-1.0-cp313-cp313-win_amd64.whl": "beta for Windows",
        "beta-1.0.tar.gz": "source of beta",
    },
    "gamma": {"gamma-1.0+cpu-py3-none-any.whl": "wheel of gamma"},
    "delta": {
        "delta-1.0.tar.gz": "first delta",
        "delta-2.0.tar.gz": "second delta",
        "delta-3.0.tar.gz": "third delta",
    },
    "epsilon": {"epsilon-1.0.tar.gz": "epsilon"},
}


def sha256(text: str) -> str:
    """Return a SHA-256 in hex."""
    return hashlib.sha256(text.encode()).hexdigest()


DIGESTS = {name: sha256(content) for files in PROJECTS.values() for name, content in files.items()}

REQUIREMENTS = f"""\
# From a lock.
--index-url https://mirrors.aliyun.com/pypi/simple/
Alpha[extra] == 1.0 ; python_version >= '3.9' \\
    --hash=sha256:{DIGESTS["alpha-1.0-py3-none-any.whl"]} \\
    --hash=sha256:{DIGESTS["alpha-1.0.tar.gz"]}
    # via nothing
-e git+https://git.example.org/mine#egg=mine
"""


def in_uv_lock(name: str) -> str:
    """Return how uv.lock names a file."""
    return f'{{ url = "https://mirrors.aliyun.com/packages/{name}", hash = "sha256:{DIGESTS[name]}" }}'


UV_LOCK = f"""\
version = 1
revision = 3
requires-python = ">=3.13"
supported-markers = ["platform_machine == 'x86_64' and sys_platform == 'linux'"]

[[package]]
name = "a-release"
version = "1.0"
source = {{ registry = "https://devpi.example.org/root/dev/+simple/" }}
[package.sdist]
url = "https://devpi.example.org/root/dev/+f/000/0000000000000/a-release-1.0.tar.gz"
hash = "sha256:{sha256("not really an archive")}"

[[package]]
name = "beta"
version = "1.0"
source = {{ registry = "https://mirrors.aliyun.com/pypi/simple/" }}
sdist = {in_uv_lock("beta-1.0.tar.gz")}
wheels = [
    {in_uv_lock(BETA)},
    {in_uv_lock("beta-1.0-cp313-cp313-win_amd64.whl")},
]

[[package]]
name = "mine"
version = "0.1.0"
source = {{ editable = "." }}
dependencies = [{{ name = "beta" }}]
"""

PYLOCK = f"""\
lock-version = "1.0"
created-by = "a test"

[[packages]]
name = "gamma"
version = "1.0+cpu"

[[packages.wheels]]
url = "https://mirrors.aliyun.com/packages/gamma-1.0%2Bcpu-py3-none-any.whl"
hashes = {{ sha256 = "{DIGESTS["gamma-1.0+cpu-py3-none-any.whl"]}" }}

[[packages]]
name = "alpha"
version = "1.0"

[packages.sdist]
name = "alpha-1.0.tar.gz"
hashes = {{ sha256 = "{DIGESTS["alpha-1.0.tar.gz"]}" }}
"""

LOCKS = {
    "requirements.txt": REQUIREMENTS,
    "uv.lock": UV_LOCK,
    "pylock.toml": PYLOCK,
    "three.txt": "delta==1.0\n-r more.txt\ndelta==3.0\n",
    "more.txt": "delta==2.0\n",
    "unpinned.txt": "alpha>=1.0\ndelta==1.0\n",
    "unknown.txt": f"alpha==7.0\ndelta==1.0\nzeta==1.0\ndelta==1.0 --hash=sha256:{'0' * 64}\n",
    "other.toml": "lock-version = '1.0'\n[[packages]]\nname = 'delta'\n"
    f"wheels = [{{name = 'delta-1.0.tar.gz', hashes = {{sha256 = '{'0' * 64}'}}}}]\n",
    "epsilon.txt": "epsilon==1.0\n",
}


@pytest.fixture(scope="module", name="options_of_server")
def _options_of_server() -> dict[str, Any]:
    return {"offline": False}


@pytest.fixture(scope="module", name="whole")
def _whole(devpi: Devpi, upstreams: dict[str, Upstream]) -> Upstream:
    """Make a mirror of an upstream, and an index for uploads on top of it, with a release of its own."""
    whole = upstreams["old"]
    whole.behaviour = Behaviour(PROJECTS)
    devpi.run(devpi_index, name="root/pypi", type="mirror", mirror_url=whole.simple_url)
    devpi.run(devpi_index, name="root/dev", bases=["root/pypi"], acl_upload=["root"])
    devpi.upload("root/dev")
    # Otherwise the mirror gets the pages, and the serial rises, in the first run in check mode.
    for project in (*PROJECTS, "a-release"):
        devpi.ask(f"root/dev/+simple/{project}/", accept=SIMPLE_JSON)
    return whole


@pytest.fixture(scope="module", name="locks")
def _locks(devpi: Devpi) -> Path:
    locks = devpi.folder / "locks"
    locks.mkdir()
    for name, text in LOCKS.items():
        (locks / name).write_text(text)
    return locks


def fetches(*names: str) -> list[str]:
    """Return what the module says of files that it fetches."""
    return [f"fetch file root/pypi/{name}" for name in names]


def files_asked(upstream: Upstream) -> list[str]:
    """Return the names of the files that an upstream was asked for."""
    return sorted(path.rpartition("/")[2] for path, _agent in upstream.seen if "/files/" in path)


def test_each_format_of_lock(devpi: Devpi, whole: Upstream, locks: Path) -> None:
    path = locks / "requirements.txt"
    changes = fetches("alpha-1.0-py3-none-any.whl", "alpha-1.0.tar.gz")
    proof = devpi.proves(changes, devpi_prefetch, index="root/pypi", path=str(path))
    assert proof.applied["msg"] == "root/pypi: 2 files fetched, 0 already there, 1 left out."
    assert proof.applied["left_out"] == [f"{path}, line 7: -e git+https://git.example.org/mine#egg=mine"]

    # For one platform, through an index on top of the mirror, which has one of the files itself.
    changes = fetches(BETA, "beta-1.0.tar.gz")
    proof = devpi.proves(changes, devpi_prefetch, index="root/dev", path=str(locks / "uv.lock"))
    assert proof.applied["msg"] == "root/dev: 2 files fetched, 1 already there, 1 for other platforms."

    # One file of it is cached.
    changes = fetches("gamma-1.0+cpu-py3-none-any.whl")
    devpi.proves(changes, devpi_prefetch, index="root/dev", path=str(locks / "pylock.toml"))

    once = [BETA, "alpha-1.0-py3-none-any.whl", "alpha-1.0.tar.gz", "beta-1.0.tar.gz", "gamma-1.0+cpu-py3-none-any.whl"]
    assert files_asked(whole) == sorted(once)


def test_what_was_fetched_is_there_without_an_upstream(devpi: Devpi, whole: Upstream) -> None:
    whole.behaviour = Behaviour(PROJECTS, down=True)
    digest = DIGESTS["alpha-1.0-py3-none-any.whl"]
    path = f"root/pypi/+f/{digest[:3]}/{digest[3:16]}/alpha-1.0-py3-none-any.whl"
    assert devpi.ask(path, accept="*/*").text == "wheel of alpha"
    whole.behaviour = Behaviour(PROJECTS)


@pytest.mark.usefixtures("whole")
@pytest.mark.parametrize(
    ("index", "lock", "messages"),
    [
        ("root/none", "three.txt", ["index: there is no index 'root/none'"]),
        ("root/pypi", "unpinned.txt", ["line 1: 'alpha>=1.0' does not name one version; write alpha==VERSION"]),
        (
            "root/pypi",
            "unknown.txt",
            [
                "line 1: root/pypi has no file of alpha 7.0; correct the version, or name",
                "line 3: root/pypi has no project zeta; name an index that has it",
                "line 4: root/pypi has no file of delta 1.0 with the SHA-256 000",
            ],
        ),
        ("root/pypi", "other.toml", ["delta: root/pypi has another delta-1.0.tar.gz than the lock (SHA-256"]),
    ],
)
def test_each_mistake_has_its_sentence(devpi: Devpi, locks: Path, index: str, lock: str, messages: list[str]) -> None:
    with devpi.unchanged():
        for message in messages:
            refused = devpi.refuses(message, devpi_prefetch, index=index, path=str(locks / lock))
            assert not refused["changed"]


# Each fails at the second of three files. The first one is fetched by the first run.
@pytest.mark.parametrize(
    ("behaviour", "message", "fetched"),
    [
        (
            {"lies": {"delta-2.0.tar.gz": "another delta"}},
            "the upstream of root/pypi sent another file",
            fetches("delta-1.0.tar.gz"),
        ),
        (
            {"cut_off": ["delta-2.0.tar.gz"]},
            "failed inside (500), as it does where an upstream breaks off",
            [],
        ),
        ({"down": True}, "the upstream of the mirror does not answer for {upstream}/files/delta-2.0.tar.gz", []),
    ],
)
def test_what_fails_at_the_second_file_tells_how_far_it_came(
    devpi: Devpi, whole: Upstream, locks: Path, behaviour: dict[str, Any], message: str, fetched: list[str]
) -> None:
    whole.behaviour = Behaviour(PROJECTS, **behaviour)
    options = {"index": "root/pypi", "path": str(locks / "three.txt"), "jobs": 1}
    failed = devpi.refuses(message.replace("{upstream}", whole.url), devpi_prefetch, **options)
    assert failed["changed"] == bool(fetched)
    assert failed["changes"] == fetched
    assert failed["pending"] == fetches("delta-2.0.tar.gz", "delta-3.0.tar.gz")


def test_the_next_run_fetches_the_rest(devpi: Devpi, whole: Upstream, locks: Path) -> None:
    whole.behaviour = Behaviour(PROJECTS)
    options = {"index": "root/pypi", "path": str(locks / "three.txt")}
    assert devpi.run(devpi_prefetch, **options)["changes"] == fetches("delta-2.0.tar.gz", "delta-3.0.tar.gz")
    again = devpi.run(devpi_prefetch, **options)
    assert not again["changed"]
    assert again["already_there"] == 3


@pytest.mark.usefixtures("whole")
def test_ansible_shows_how_far_a_run_is(devpi: Devpi, locks: Path) -> None:
    """Without a password too."""
    options = {"index": "root/pypi", "path": str(locks / "epsilon.txt"), "url": devpi.url}
    printed = run_by_ansible("devpi_prefetch", options, locks)
    assert "<localhost> 1 of 1: fetch file root/pypi/epsilon-1.0.tar.gz" in printed.splitlines()
    assert "1 file fetched, 0 already there" in printed
