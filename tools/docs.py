"""Write docs/roles/ROLE.md, docs/modules/MODULE.md, docs/security.md and docs/operations.md.

What they say comes from roles/ROLE/meta/argument_specs.yml, from the documentation of the modules, and from the
playbooks in tools/docs_pages/examples/; of security and operations, from what the scenarios of molecule compare with.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml
from antsibull_docs_parser import dom
from antsibull_docs_parser.format import LinkProvider
from antsibull_docs_parser.md import MDFormatter, to_md
from antsibull_docs_parser.parser import Context, parse
from jinja2 import Environment, FileSystemLoader, StrictUndefined

CHECKOUT = Path(__file__).resolve().parent.parent
DOCS = CHECKOUT / "docs"
PAGES = Path(__file__).resolve().parent / "docs_pages"
#: What the scenarios ask and attack, with what has to come of it.
SECURITY = CHECKOUT / "molecule" / "shared" / "security"
#: The scenarios that keep what came of their faults in operations.json.
OPERATIONS = ("upgrade", "migrate", "backup")
COLLECTION = "wheelhouse.devpi"


def code(text: str) -> str:
    """Return text as code in Markdown."""
    fence = "`" * (1 + max((len(run) for run in re.findall("`+", text)), default=0))
    return f"{fence}{text}{fence}"


class Readable(MDFormatter):
    """Markdown that is also pleasant to read as text: code in backticks, and escapes only where they are needed."""

    def format_text(self, part: dom.TextPart) -> str:
        """Return plain text."""
        return re.sub(r"([*<`\\])", r"\\\1", part.text)

    def format_code(self, part: dom.CodePart) -> str:
        """Return C()."""
        return code(part.text)

    def format_option_value(self, part: dom.OptionValuePart) -> str:
        """Return V()."""
        return code(part.value)

    def format_env_variable(self, part: dom.EnvVariablePart) -> str:
        """Return E()."""
        return code(part.name)

    def format_option_name(self, part: dom.OptionNamePart, url: str | None) -> str:
        """Return O()."""
        return code(part.name if part.value is None else f"{part.name}={part.value}")

    def format_return_value(self, part: dom.ReturnValuePart, url: str | None) -> str:
        """Return RV()."""
        return code(part.name if part.value is None else f"{part.name}={part.value}")

    def format_module(self, part: dom.ModulePart, url: str | None) -> str:
        """Return M()."""
        return linked(part.fqcn, url)

    def format_plugin(self, part: dom.PluginPart, url: str | None) -> str:
        """Return P()."""
        return linked(part.plugin.fqcn, url)

    def format_link(self, part: dom.LinkPart) -> str:
        """Return L()."""
        return f"[{part.text}]({part.url})"

    def format_url(self, part: dom.URLPart) -> str:
        """Return U()."""
        return f"<{part.url}>"


def linked(name: str, url: str | None) -> str:
    """Return the name of a plugin, as a link where it has a page here."""
    return f"[{code(name.removeprefix(COLLECTION + '.'))}]({url})" if url else code(name)


class Links(LinkProvider):
    """Links between the pages."""

    def plugin_link(self, plugin: dom.PluginIdentifier) -> str | None:
        """Return the page of a module or role of this collection."""
        folder = {"module": "modules", "role": "roles"}.get(plugin.type)
        if folder is None or not plugin.fqcn.startswith(COLLECTION + "."):
            return None
        return f"../{folder}/{plugin.fqcn.removeprefix(COLLECTION + '.')}.md"


def text(paragraphs: str | Sequence[str], of: dom.PluginIdentifier, indent: int = 0) -> str:
    """Return Ansible's markup as Markdown. Raises ValueError where the markup is wrong."""
    context = Context(current_plugin=of, role_entrypoint="main" if of.type == "role" else None)
    parsed = parse([paragraphs] if isinstance(paragraphs, str) else list(paragraphs), context, errors="exception")
    written = to_md(parsed, formatter=Readable(), link_provider=Links(), current_plugin=of)
    return written.replace("\n", "\n" + " " * indent).replace("\n" + " " * indent + "\n", "\n\n")


def traits(option: dict[str, Any]) -> str:
    """Return what stands behind the name of an option: its type, whether it is required, its choices and default."""
    kind = option.get("type", "str")
    words = [f"list of {option['elements']}" if kind == "list" and "elements" in option else kind]
    if option.get("required"):
        words.append("**required**")
    if option.get("choices"):
        words.append("one of " + ", ".join(code(value(choice)) for choice in option["choices"]))
    if option.get("default") is not None:
        words.append("default " + code(value(option["default"])))
    return "; ".join(words)


def value(of: Any) -> str:
    """Return a value as one would write it."""
    return of if isinstance(of, str) and of else json.dumps(of, ensure_ascii=False)


def required_first(options: dict[str, Any]) -> dict[str, Any]:
    """Return options with those first that nobody can leave out."""
    return dict(sorted(options.items(), key=lambda item: not item[1].get("required", False)))


def readable(pattern: str) -> str:
    """Return the pattern of a route without its regular expressions.

    >>> readable("/{user:[^+/]+}/{index:[^+/]+/?}")
    '/{user}/{index}'
    """
    return re.sub(r"\{(\w+):[^{}]*\}", r"{\1}", pattern)


def pages() -> dict[Path, str]:
    """Return the text of each page by its path."""
    # Markdown, not HTML: there is nothing to escape.
    environment = Environment(
        loader=FileSystemLoader(PAGES), undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.globals.update(code=code, required_first=required_first, traits=traits, text=text, value=value)
    found = {}
    for specs in sorted(CHECKOUT.glob("roles/*/meta/argument_specs.yml")):
        role = specs.parent.parent.name
        plugin = dom.PluginIdentifier(f"{COLLECTION}.{role}", "role")
        entry_points = yaml.safe_load(specs.read_text())["argument_specs"]
        found[DOCS / "roles" / f"{role}.md"] = environment.get_template("role.md.j2").render(
            role=role,
            plugin=plugin,
            entry_points=entry_points,
            example=(PAGES / "examples" / f"{role}.yml").read_text().removeprefix("---\n").strip(),
        )
        # Galaxy imports no collection whose roles have none.
        found[specs.parents[1] / "README.md"] = environment.get_template("role_readme.md.j2").render(
            role=role, plugin=plugin, main=entry_points["main"]
        )
    found[DOCS / "security.md"] = environment.get_template("security.md.j2").render(
        **{
            name: json.loads((SECURITY / f"{name}.json").read_text())
            for name in ("attacks", "findings", "neighbour", "homes", "links", "surface", "units")
        },
        **{
            name: json.loads((CHECKOUT / "molecule" / "private" / f"{name}.json").read_text())
            for name in ("matrix", "reading")
        },
        readable=readable,
        asked=sorted({how for row in json.loads((SECURITY / "surface.json").read_text()) for how in row["open"]}),
    )
    found[DOCS / "operations.md"] = environment.get_template("operations.md.j2").render(
        operations=[
            json.loads((CHECKOUT / "molecule" / scenario / "operations.json").read_text())
            for scenario in OPERATIONS
            if (CHECKOUT / "molecule" / scenario / "operations.json").exists()
        ],
    )
    modules = [f"{COLLECTION}.{path.stem}" for path in sorted(CHECKOUT.glob("plugins/modules/*.py"))]
    described = subprocess.run(
        [str(Path(sys.executable).with_name("ansible-doc")), "--json", *modules],
        cwd=CHECKOUT,
        check=True,
        capture_output=True,
    )
    for name, parts in json.loads(described.stdout).items():
        module = name.removeprefix(COLLECTION + ".")
        found[DOCS / "modules" / f"{module}.md"] = environment.get_template("module.md.j2").render(
            module=module,
            plugin=dom.PluginIdentifier(name, "module"),
            doc=parts["doc"],
            example=parts["examples"].strip(),
            returned=parts["return"],
        )
    return {path: re.sub(r"\n{3,}", "\n\n", page).strip() + "\n" for path, page in found.items()}


def main() -> int:
    """Write the pages, or check them. Returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--check", action="store_true", help="write nothing, and fail where a page is not up to date")
    options = parser.parse_args()
    wanted = pages()
    # In the folder itself there are pages by other hands.
    known = wanted.keys() | {path for folder in ("roles", "modules") for path in (DOCS / folder).glob("*.md")}
    known |= set(CHECKOUT.glob("roles/*/README.md"))
    there = {path: path.read_text() for path in known if path.exists()}
    stale = sorted(path for path in wanted.keys() | there.keys() if wanted.get(path) != there.get(path))
    for path in stale:
        print(path.relative_to(CHECKOUT))
        if options.check:
            continue
        if path in wanted:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(wanted[path])
        else:
            path.unlink()
    if options.check and stale:
        print("These pages are not up to date: run make docs.")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
