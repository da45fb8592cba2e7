#!/usr/bin/env bash
# Make the sdist and the wheel, and put beside them what installs the wheel with the versions of environment.lock.
#
#   docker/dist.sh [VENV [FOLDER]]      # default: .venv, and dist, both beside this repository's files
#
# Without a network: setuptools is in the lock. Then, in that folder, on Python 3.11 or 3.12:
#
#   uv venv --python 3.12 ~/slt && uv pip install --python ~/slt --constraints environment.lock slt-*.whl
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
venv=${1:-.venv}
folder=${2:-dist}
mkdir -p "$folder"
rm -f "$folder"/slt-*.whl "$folder"/slt-*.tar.gz
# setuptools takes stray files of earlier builds along.
rm -rf build src/slt.egg-info/SOURCES.txt
"$venv/bin/uv" build --quiet --offline --no-build-isolation --python "$venv/bin/python" --out-dir "$folder"
cp environment.lock "$folder"
# uv reads it in the folder it runs in: some packages' own bounds cannot all be met, see [tool.uv] in pyproject.toml.
"$venv/bin/python" - >"$folder/uv.toml" <<'PYTHON'
import json, tomllib
settings = tomllib.load(open("pyproject.toml", "rb"))["tool"]["uv"]
for name in ("exclude-dependencies", "override-dependencies"):
    print(f"{name} = {json.dumps(settings[name])}")
PYTHON
ls -l "$folder" >&2
