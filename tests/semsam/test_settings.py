import pickle

import pytest

from semsam.errors import SemSamError, SettingsError
from semsam.settings import Settings


def test_defaults_are_the_published_rule():
    assert Settings() == Settings(k=16, top_m=50, top_p=0.95, guard="none", mode="argmax", strength=1.0)


@pytest.mark.parametrize(
    ("name", "bad"),
    [
        *(("k", value) for value in (0, -3, 2.0, True, "16", None)),
        *(("top_m", value) for value in (0, 1.5, False)),
        *(("top_p", value) for value in (0, -0.1, 1.0001, float("nan"), "0.9", True, None)),
        *(("strength", value) for value in (-0.1, 1.1, float("nan"), None)),
        *(("guard", value) for value in ("antonym", "", None, ["none"])),
        *(("mode", value) for value in ("greedy", None)),
    ],
)
def test_illegal_value_is_named_with_the_legal_ones(name, bad):
    with pytest.raises(SettingsError, match=f"The setting '{name}' must be .*found: ") as caught:
        Settings(**{name: bad})
    assert repr(bad) in str(caught.value)


def test_limits_are_legal():
    Settings(k=1, top_m=1, top_p=1, strength=0)
    Settings(k=10_000, top_p=1e-9, strength=1)


def test_prefixed_arguments_are_picked():
    arguments = {"semsam_k": 4, "temperature": 0.5, "k": 9, "semsam_guard": "antonyms", "xsemsam_k": 3}
    assert Settings.from_prefixed(arguments) == Settings(k=4, guard="antonyms")
    assert Settings.from_prefixed({}) == Settings()
    assert Settings.from_prefixed({"s.k": 2}, prefix="s.") == Settings(k=2)


def test_unknown_prefixed_argument_is_refused():
    with pytest.raises(SettingsError, match=r"found: semsam_topm\] Remedy: use one of: semsam_k, semsam_top_m"):
        Settings.from_prefixed({"semsam_topm": 3})


def test_errors_are_value_errors_and_survive_pickling():
    error = SettingsError("No.", value=3, remedy="do it.")
    assert isinstance(error, ValueError)
    assert isinstance(error, SemSamError)
    again = pickle.loads(pickle.dumps(error))
    assert (type(again), str(again)) == (SettingsError, "No. [found: 3] Remedy: do it.")


def test_settings_are_hashable_and_do_not_change():
    assert len({Settings(), Settings(), Settings(k=2)}) == 2
    with pytest.raises(AttributeError):
        Settings().k = 3


def test_no_heavy_import_for_settings():
    import subprocess
    import sys

    script = (
        "import sys, semsam, semsam.settings, semsam.__main__\n"
        "print([name for name in ('torch', 'transformers', 'lm_eval', 'datasets') if name in sys.modules])"
    )
    output = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    assert output.strip() == "[]"


def test_usual_names_are_had_from_the_package():
    import semsam

    assert semsam.Settings is Settings
    assert semsam.rescore is semsam.rescoring.rescore
    assert semsam.neighbours.build.__module__ == "semsam.neighbours"
    assert set(semsam.__all__) <= set(dir(semsam))
    assert all(hasattr(semsam, name) for name in semsam.__all__)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = semsam.nothing


def test_knows_nothing_of_the_data_set():
    from pathlib import Path

    import semsam

    folder = Path(semsam.__file__).parent
    core = ("antonyms", "cache", "content", "embedding", "errors", "logits_processor", "neighbours", "rescoring")
    for name in (*core, "selection", "settings", "tables", "__main__", "custom_generate/generate"):
        text = (folder / f"{name}.py").read_text()
        assert "dataset_builder" not in text
        assert "lm_eval" not in text
