#!/bin/bash
# Install and publish with each tool of tools.in, all of which come through the index, with nothing about its CA but what
# devpi_client wrote: tools.sh SIMPLE UPLOAD. The user and the password come by TOOL_USER and TOOL_PASSWORD.
set -euo pipefail
simple=$1 upload=$2
python3 -m venv ~/tools
~/tools/bin/pip install --quiet --disable-pip-version-check --no-deps --require-hashes --requirement ~/tools.txt
mkdir -p ~/.local/bin
ln -sf ~/tools/bin/{pip,uv} ~/.local/bin/
cd "$(mktemp -d)"
PATH=~/tools/bin:$PATH
export POETRY_VIRTUALENVS_IN_PROJECT=true PIPENV_VENV_IN_PROJECT=1 PIPENV_YES=1 PDM_CHECK_UPDATE=false

project() { # NAME FOLDER REQUIRED BACKEND: a project without dependencies, in a new folder
  mkdir -p "$2/$1"
  echo '"""Made for a test."""' >"$2/$1/__init__.py"
  echo '__version__ = "1.0"' >>"$2/$1/__init__.py"
  cat >"$2/pyproject.toml" <<TOML
[project]
name = "$1"
version = "1.0"
description = "Made for a test."
requires-python = ">=3.11"

[build-system]
requires = ["$3"]
build-backend = "$4"
TOML
}
found() { # TOOL FOLDER: idna is below the folder
  [ -n "$(find "$2" -path '*/idna/core.py' -print -quit)" ]
  echo "$1: installed"
}

uv pip install --quiet --no-cache --target by-uv idna
found uv by-uv
pip install --quiet --no-cache-dir --disable-pip-version-check --target by-pip idna
found pip by-pip

project wheelhouse_poetry by-poetry poetry-core poetry.core.masonry.api
cd by-poetry
poetry source add --quiet --priority=primary devpi "$simple"
poetry add --quiet idna
found poetry .venv
poetry config repositories.prod "$upload"
poetry publish --quiet --build --repository prod --username "$TOOL_USER" --password "$TOOL_PASSWORD"
echo "poetry: published"
cd ..

project wheelhouse_pdm by-pdm pdm-backend pdm.backend
cd by-pdm
printf '\n[[tool.pdm.source]]\nname = "pypi"\nurl = "%s"\n' "$simple" >>pyproject.toml
pdm venv create --quiet /usr/bin/python3
pdm use --quiet --venv in-project
pdm add --quiet idna
found pdm .venv
pdm publish --quiet --repository "$upload" --username "$TOOL_USER" --password "$TOOL_PASSWORD"
echo "pdm: published"
cd ..

project wheelhouse_hatch by-hatch hatchling hatchling.build
cd by-hatch
printf '\n[tool.hatch.envs.default]\ndependencies = ["idna"]\npath = ".hatch"\n' >>pyproject.toml
hatch --quiet env create
found hatch .hatch
hatch --quiet build
hatch --quiet publish --no-prompt --repo "$upload" --user "$TOOL_USER" --auth "$TOOL_PASSWORD"
echo "hatch: published"
cd ..

mkdir by-pipenv
cd by-pipenv
printf '[[source]]\nname = "devpi"\nurl = "%s"\nverify_ssl = true\n\n[packages]\nidna = "*"\n' "$simple" >Pipfile
pipenv --quiet install
found pipenv .venv
cd ..

project wheelhouse_flit by-flit flit-core flit_core.buildapi
cd by-flit
FLIT_INDEX_URL=$upload FLIT_USERNAME=$TOOL_USER FLIT_PASSWORD=$TOOL_PASSWORD flit publish --format wheel
echo "flit: published"
cd ..

TWINE_USERNAME=$TOOL_USER TWINE_PASSWORD=$TOOL_PASSWORD twine upload --non-interactive --disable-progress-bar \
  --repository-url "$upload" by-flit/dist/*.whl
echo "twine: published"
