#!/usr/bin/env bash
# Makes an environment of `make test-export`: this project and another harness. Some minutes, 2.5 GB each.
#
# usage: tests/environment/export_environment.sh DIR inspect|lmms-eval|vlmevalkit
#        (PYTHON names the interpreter, VLMEVALKIT the folder of its repository)
#
# Inspect is installed with all that it requires. Of lmms-eval and VLMEvalKit only what a server as the model needs is:
# their requirements also name demos, video decoders and judges (wandb, gradio, litellm ...), gigabytes that nothing here
# uses. VLMEvalKit itself is no package on the index: its repository is where VLMEVALKIT says.
set -euo pipefail
dir=${1:?usage: export_environment.sh DIR HARNESS}
harness=${2:?usage: export_environment.sh DIR HARNESS}
here=$(cd "$(dirname "$0")" && pwd)
"${PYTHON:-python3}" -m venv --clear "$dir"
python="$dir/bin/python"
plain() { "$python" -m pip install --quiet --disable-pip-version-check "$@"; }
pinned() { plain --constraint "$here/../../constraints.txt" "$@"; }

# By its exact version: unpinned, it pulls gigabytes of CUDA.
plain "$(grep -E '^torch==' "$here/../../constraints.txt")"
case $harness in
  inspect)
    # Its bounds on other packages are narrower than constraints.txt.
    plain "$(grep -E '^torch==' "$here/../../constraints.txt")" inspect-ai==0.3.285 openai pytest --editable "$here/../.."
    ;;
  lmms-eval)
    pinned --editable "$here/../.."
    pinned --no-deps torchvision lmms-eval==0.7.3
    pinned accelerate aiohttp evaluate httpx jsonlines loguru openai pydantic pytablewriter python-dotenv sacrebleu \
      sqlitedict tenacity tiktoken tqdm-multiprocess zss
    ;;
  vlmevalkit)
    pinned --editable "$here/../.."
    pinned --no-deps torchvision
    pinned accelerate beautifulsoup4 decord imageio jieba json_repair Levenshtein math-verify matplotlib networkx nltk \
      num2words openai openpyxl pandas portalocker pylatexenc==2.10 python-dotenv qwen-vl-utils requests rouge sty sympy tabulate \
      termcolor timeout-decorator validators xlsxwriter
    ;;
  *)
    echo "There is no harness $harness." >&2
    exit 2
    ;;
esac
site=$("$python" -c 'import sysconfig; print(sysconfig.get_paths()["purelib"])')
[ "$harness" = inspect ] || cp "$here/torchvision_schemas.py" "$here/torchvision_schemas.pth" "$site/"

# What is missing is told here, not in the middle of the tests. VLMEvalKit imports all of its data sets at once.
case $harness in
  inspect) check="import inspect_ai, openai, pytest" ;;
  lmms-eval) check="import lmms_eval.evaluator, lmms_eval.tasks, lmms_eval.models.chat.openai" ;;
  vlmevalkit) check="import os, sys; sys.path.insert(0, os.environ['VLMEVALKIT']); import vlmeval.config, vlmeval.dataset" ;;
esac
HF_HUB_OFFLINE=1 "$python" -c "import lm_eval_tasks.export; $check"
