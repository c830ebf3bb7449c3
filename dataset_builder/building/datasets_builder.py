"""``MISGround``: the benchmark as a builder of the ``datasets`` library, over a slice store."""

import os
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import datasets
import pyarrow.parquet as pq

from dataset_builder.building.engines import Processes
from dataset_builder.building.merge import merge_parts
from dataset_builder.building.parts import Parts
from dataset_builder.building.queues import AskQueue
from dataset_builder.building.worker import write_part
from dataset_builder.core.errors import BuildError
from dataset_builder.core.factors import INPUT_CONFIGS, MODALITIES, PLANES, TEST, config_name
from dataset_builder.core.settings import Settings, digest
from dataset_builder.dataset.format import ROW_SCHEMA, VERSION
from dataset_builder.files.progress import silent
from dataset_builder.slices.selection import SLICE_SCHEMA
from dataset_builder.slices.store import volumes_in

FEATURES = datasets.Features.from_arrow_schema(ROW_SCHEMA)
SLICE_FEATURES = datasets.Features.from_arrow_schema(SLICE_SCHEMA)
"""Features of a row, and of a slice, as ``load_dataset`` shows them."""


@dataclass
class MISGroundConfig(datasets.BuilderConfig):
    """A config of :class:`MISGround`: ``all``, one modality and plane, or ``slices``.

    Args:
        store: folder of the slice store (see :mod:`dataset_builder.slices.store`).
        settings: what to ask.
        vocabulary: a YAML file with structures of the user's own.
    """

    store: str = ""
    settings: Settings = field(default_factory=Settings)
    vocabulary: str | None = None


class MISGround(datasets.GeneratorBasedBuilder):
    """The benchmark as a ``datasets`` builder over a slice store, for use as a class.

    >>> builder = MISGround("ct_axial", store="store")  # doctest: +SKIP
    >>> builder.download_and_prepare(file_format="parquet")  # doctest: +SKIP
    """

    VERSION = datasets.Version(VERSION)
    BUILDER_CONFIG_CLASS = MISGroundConfig
    BUILDER_CONFIGS = [  # noqa: RUF012 - a name that datasets prescribes
        MISGroundConfig(name=name, version=datasets.Version(VERSION))
        for name in ("all", *(config_name(m, p) for m in MODALITIES for p in PLANES), *INPUT_CONFIGS, "slices")
    ]
    DEFAULT_CONFIG_NAME = "all"
    config: MISGroundConfig

    def __init__(self, config_name: str | None = None, **kwargs: Any) -> None:
        for name in ("store", "vocabulary"):
            if isinstance(kwargs.get(name), os.PathLike):
                kwargs[name] = str(Path(kwargs[name]).absolute())
        if "hash" not in kwargs and kwargs.get("store"):
            # The cache of datasets must not outlive the store's contents.
            notes = (volume.path.with_suffix(".json").read_text() for volume in volumes_in(Path(kwargs["store"])))
            kwargs["hash"] = digest(*notes)
        super().__init__(config_name=config_name, **kwargs)

    def _info(self) -> datasets.DatasetInfo:
        features = SLICE_FEATURES if self.config.name == "slices" else FEATURES
        return datasets.DatasetInfo(description=__doc__ or "", features=features, license="see column licence")

    def _split_generators(self, dl_manager: Any) -> list[datasets.SplitGenerator]:
        if not self.config.store:
            raise BuildError(
                "MISGround needs a slice store.", remedy="Pass store=FOLDER (mis-ground build --store FOLDER)."
            )
        if self.config.name == "slices":
            files = [volume.path for volume in volumes_in(Path(self.config.store))]
            return [datasets.SplitGenerator(TEST, gen_kwargs={"files": files, "key": None})]
        made = self._make_files()
        if self.config.name == "all":
            files = [file for of_cell in made.values() for file in of_cell]
            return [datasets.SplitGenerator(TEST, gen_kwargs={"files": files, "key": "id"})]
        return [datasets.SplitGenerator(split, gen_kwargs={"files": made[split], "key": "id"}) for split in made]

    def _make_files(self) -> dict[str, list[Path]]:
        """Every question of this config asked and drawn once: the Parquet files of each split, or of each cell."""
        self._work = tempfile.TemporaryDirectory(prefix="mis-ground-")  # goes away with the builder
        folder, data = Path(self._work.name) / "parts", Path(self._work.name)
        folder.mkdir()
        vocabulary = Path(self.config.vocabulary) if self.config.vocabulary else None
        asked = AskQueue(volumes_in(Path(self.config.store)), self.config.settings)
        only = None if self.config.name == "all" else self.config.name
        made = Parts(folder)
        for item in asked:
            part = write_part(item, vocabulary, folder, TEST, only)
            if part is not None:
                made.add(part)
        files, _ = merge_parts(made, None, data, TEST, Processes(), silent)
        return {key[1] if only else "/".join(key): [data / path for path in paths] for key, paths in files.items()}

    def _generate_examples(self, files: Sequence[Path], key: str | None) -> Iterator[tuple[str, dict[str, Any]]]:
        for file in files:
            number = 0
            for batch in pq.ParquetFile(file).iter_batches(batch_size=64):
                for row in batch.to_pylist():
                    yield row[key] if key else f"{file.stem}/{number}", row
                    number += 1
