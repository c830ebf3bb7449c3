"""Runs VLMEvalKit's run.py with MIS-Ground's data sets known to it.

Usage: python run_mis_ground.py VLMEVALKIT --data MISGround --model MODEL ...

VLMEVALKIT is the folder of VLMEvalKit's repository. Not needed once the data set class is part of it.
"""

# SPDX-License-Identifier: Apache-2.0

import os
import runpy
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

HERE = Path(__file__).resolve().parent


def register(kit: Path) -> None:
    """Add the classes to those that VLMEvalKit knows, as a line in its vlmeval/dataset/__init__.py would."""
    sys.path.insert(0, str(kit))
    import vlmeval.dataset as known

    spec = spec_from_file_location('vlmeval.dataset.mis_ground', HERE / 'vlmeval/dataset/mis_ground.py')
    if spec is None or spec.loader is None:
        raise ImportError(spec)
    module = module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    for data_set in (module.MISGround, module.MISGroundBlind):
        setattr(known, data_set.__name__, data_set)
        known.DATASET_CLASSES.append(data_set)
        known.SUPPORTED_DATASETS.extend(data_set.supported_datasets())


if __name__ == '__main__':
    if len(sys.argv) < 2 or not (Path(sys.argv[1]) / 'run.py').is_file():
        sys.exit(__doc__)
    kit = Path(sys.argv.pop(1)).resolve()
    os.environ.setdefault('LMUData', str(HERE / 'LMUData'))
    register(kit)
    sys.argv[0] = str(kit / 'run.py')
    runpy.run_path(sys.argv[0], run_name='__main__')
