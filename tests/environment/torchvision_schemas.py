"""Lets torchvision be imported beside a CPU torch where the index offers only torchvision builds for CUDA.

`make` copies it into the site-packages of the TEST environment, which has torchvision installed with --no-deps, with a
.pth file that imports it when Python starts. (As sitecustomize it would not be found where the system has one of its
own: Debian's Python does.) Before torchvision is first run it defines the two operator schemas that torchvision's
compiled part would have registered; without them, an installed torchvision that cannot load that part breaks every
import of a transformers model. Who only asks whether torchvision is there, as datasets does, does not wait for torch.
"""

import importlib.abc
import importlib.util
import sys


class _DefineSchemas(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name != "torchvision":
            return None
        sys.meta_path.remove(self)
        try:
            found = importlib.util.find_spec(name)
        finally:
            sys.meta_path.insert(0, self)
        if found is not None:
            run = found.loader.exec_module

            def define_and_run(module):
                _define()
                run(module)

            found.loader.exec_module = define_and_run
        return found


def _define():
    import torch

    if not hasattr(torch, "_torchvision_schemas"):
        library = torch.library.Library("torchvision", "DEF")
        for operator in ("nms", "qnms"):
            library.define(f"{operator}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        torch._torchvision_schemas = library  # keep it alive


sys.meta_path.insert(0, _DefineSchemas())
