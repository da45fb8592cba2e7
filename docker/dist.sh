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
venv=$(realpath "${1:-.venv}")
folder=${2:-dist}
mkdir -p "$folder"
rm -f "$folder"/slt-*.whl "$folder"/slt-*.tar.gz
# In a copy: setuptools takes stray files of earlier builds along, and leaves its own.
copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT
named=$(sed -n 's/^include //p; s/^graft //p' MANIFEST.in)
# shellcheck disable=SC2086  # a list of names
tar -c --exclude=__pycache__ --exclude='*.egg-info' $named MANIFEST.in pyproject.toml README.md LICENSE src cli |
    tar -x -C "$copy"
"$venv/bin/uv" build --quiet --offline --no-build-isolation --python "$venv/bin/python" --out-dir "$folder" "$copy"
cp environment.lock "$folder"
# uv reads it in the folder it runs in: some packages' own bounds cannot all be met, see [tool.uv] in pyproject.toml.
"$venv/bin/python" - >"$folder/uv.toml" <<'PYTHON'
import json, tomllib
settings = tomllib.load(open("pyproject.toml", "rb"))["tool"]["uv"]
for name in ("exclude-dependencies", "override-dependencies"):
    print(f"{name} = {json.dumps(settings[name])}")
PYTHON
ls -l "$folder" >&2
