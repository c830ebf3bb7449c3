"""The Croissant file: the data set described for machines, beside the data, for uses off the Hub.

Croissant is a JSON-LD vocabulary (docs.mlcommons.org/croissant, version 1.1). Every file is listed with its sha256; a
record set a config says which column holds what.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from dataset_builder.dataset.licences import licence, most_restrictive
from dataset_builder.dataset.manifest import Key, Record, is_slices

CROISSANT_NAME = "croissant.json"

_CONTEXT = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "arrayShape": "cr:arrayShape",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "containedIn": "cr:containedIn",
    "cr": "http://mlcommons.org/croissant/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "description": {"@container": "@language"},
    "equivalentProperty": "cr:equivalentProperty",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract",
    "field": "cr:field",
    "fileProperty": "cr:fileProperty",
    "fileObject": "cr:fileObject",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isArray": "cr:isArray",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "name": {"@container": "@language"},
    "parentField": "cr:parentField",
    "path": "cr:path",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "samplingRate": "cr:samplingRate",
    "sc": "https://schema.org/",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
}
"""As the standard gives it."""

_TYPES = {
    "string": "sc:Text",
    "int32": "sc:Integer",
    "int64": "sc:Integer",
    "float32": "sc:Float",
    "float64": "sc:Float",
}

_MEANING = {
    "images": "the image or images, as encoded PNG",
    "image_sha256": "sha256 of each image that the recipe leaves out",
    "question": "the question, with its options in words",
    "options": "what the answer is one of",
    "answer": "the right option",
    "answer_index": "its place among the options, from 0",
    "relation": "what A is to B in the patient, as a clinical term",
    "structures": "canonical names of the structures, A first",
    "boxes": "[x0, y0, x1, y1] of each structure, pixels of the image, half-open",
    "points": "[x, y] on each structure, pixels of the image",
    "masks": "the pixels of each structure, COCO run-length encoding",
    "answer_type": "what is wanted: one of the options, a point, a box or a number",
    "scale": "how a question for a measurement gives the size of a pixel",
    "statement": "how the convention is stated: edges of the image, its name only, or not at all",
    "option_form": "how options are offered: as listed, shifted by some places, or as yes and no",
    "view": "what is shown: the slice, turned, with structures hidden, or another subject's",
    "value": "the measurement, in the unit that the column unit names",
    "unit": "mm, degree or ratio",
    "tolerance": "by how much an answer may miss the value, in its unit",
    "answer_image": "of a stack the place of the image that is asked for, from 0",
    "pair_id": "shared by a question and its inverse",
    "fact_id": "shared by questions about the same fact",
    "licence": "licence of the scan",
}


def croissant_text(record: Record, hashes: Mapping[str, str]) -> str:
    """The Croissant file of a data set.

    Args:
        record: what the data set holds.
        hashes: sha256 of each data file, by its path beside the Croissant file.
    """
    governing = most_restrictive(source.licence for source in record.sources)
    described: dict[str, Any] = {
        "@context": _CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": "http://mlcommons.org/croissant/1.1",
        "name": "mis-ground",
        "description": (
            "Questions about where anatomy lies in labelled CT and MRI slices, varied one factor at a time, to show "
            "where vision-language models lose their bearings. An independent implementation of the benchmark of "
            "arXiv:2603.14579. Not for clinical use."
        ),
        "url": "https://arxiv.org/abs/2603.14579",
        "license": governing.url or governing.name,
        "version": _version(record),
        "keywords": [
            "medical",
            "radiology",
            "ct",
            "mri",
            "spatial reasoning",
            "benchmark",
            "visual question answering",
        ],
        "citeAs": (
            "Yu et al., Medical Image Spatial Grounding with Semantic Sampling, arXiv:2603.14579, 2026 (method); "
            + "; ".join(dict.fromkeys(source.citation for source in record.sources if source.citation))
        ).removesuffix("; "),
        "isBasedOn": [source.url for source in record.sources if source.url],
        "usageInfo": "; ".join(f"scans of {source.name}: {licence(source.licence).name}" for source in record.sources),
        "distribution": list(_distribution(record, hashes)),
        "recordSet": [_record_set(record, config, keys) for config, keys in _configs(record).items()],
    }
    return json.dumps(described, indent=1, ensure_ascii=False) + "\n"


def _version(record: Record) -> str:
    """The data's version, and the content's after a plus, as semantic versioning has it."""
    return f"{max(build.version for build in record.builds)}+{record.content}"


def _configs(record: Record) -> dict[str, list[Key]]:
    configs: dict[str, list[Key]] = {}
    for key in record.splits:
        configs.setdefault(key[0], []).append(key)
    return configs


def _distribution(record: Record, hashes: Mapping[str, str]) -> Iterator[dict[str, Any]]:
    """Every file, and the files of each config as a set."""
    for config, keys in _configs(record).items():
        files = [file for key in keys for file in record.splits[key].files]
        for file in files:
            yield {
                "@type": "cr:FileObject",
                "@id": file,
                "name": file,
                "contentUrl": file,
                "encodingFormat": "application/x-parquet",
                "sha256": hashes[file],
            }
        yield {
            "@type": "cr:FileSet",
            "@id": f"files-{config}",
            "name": f"files-{config}",
            "description": f"the files of the config {config}",
            "encodingFormat": "application/x-parquet",
            "includes": files,
        }


def _record_set(record: Record, config: str, keys: list[Key]) -> dict[str, Any]:
    what = "slices with label maps and geometry" if is_slices(keys[0]) else "questions"
    features = record.build_of(keys[-1]).features_of(keys[-1])
    return {
        "@type": "cr:RecordSet",
        "@id": config,
        "name": config,
        "description": f"{sum(record.splits[key].rows for key in keys)} {what}",
        "field": [_field(config, column, feature) for column, feature in features.items()],
    }


def _field(config: str, column: str, feature: Any) -> dict[str, Any]:
    """A column: a list is a repeated field, a list of lists an array, a list of structs has a field a member."""
    inner = _inner(feature)
    array = inner is not None and _inner(inner) is not None
    members = inner if inner is not None and not array and "_type" not in inner else None
    field: dict[str, Any] = {
        "@type": "cr:Field",
        "@id": f"{config}/{column}",
        "name": column,
        "description": _MEANING.get(column, column.replace("_", " ")),
    }
    if members is not None:
        parts = [_leaf(config, column, _inner(kind) or kind, f"{column}/{name}") for name, kind in members.items()]
        for part, (name, kind) in zip(parts, members.items(), strict=True):
            part["source"]["transform"] = {"jsonPath": f"[*].{name}"}
            if _inner(kind) is not None:
                part["repeated"] = True
        return field | {"repeated": True, "subField": parts}
    field |= _leaf(config, column, _inner(inner) if array else inner or feature, column)
    if array:
        return field | {"isArray": True, "arrayShape": _SHAPES.get(column, "-1,-1")}
    return field | ({"repeated": True} if inner is not None else {})


_SHAPES = {"boxes": "-1,4", "points": "-1,2", "affine": "4,4"}


def _inner(feature: Any) -> Any:
    """What a list holds; ``None`` for anything else."""
    return feature["feature"] if feature.get("_type") in ("List", "LargeList", "Sequence") else None


def _leaf(config: str, column: str, feature: Any, name: str) -> dict[str, Any]:
    source: dict[str, Any] = {"fileSet": {"@id": f"files-{config}"}, "extract": {"column": column}}
    if feature.get("_type") == "Image":
        source["transform"] = {"jsonPath": "bytes"}
    kind = "sc:ImageObject" if feature.get("_type") == "Image" else _TYPES.get(feature.get("dtype", ""), "sc:Text")
    return {"@type": "cr:Field", "@id": f"{config}/{name}", "name": name, "dataType": kind, "source": source}
