import pytest

from dataset_builder.files.strict_text import load_json, load_yaml


def test_what_is_sound_is_read_as_usual():
    assert load_json('{"1": "liver", "2": [1, null]}') == {"1": "liver", "2": [1, None]}
    assert load_yaml("1: liver\n2: [1, ~]\n") == {1: "liver", 2: [1, None]}


@pytest.mark.parametrize(
    "text",
    [
        *("{1: a, 1: b}", "a: [", "a: !!int\n", "a: !!float x", "a: 2024-13-45", "? [a]\n: b", "!!set [a]"),
        *("a: !!python/object:os.x {}", "[" * 5000, "a: *b", "\0", "\ta: b"),
    ],
)
def test_yaml_that_is_wrong_is_a_value_error_of_one_line(text):
    with pytest.raises(ValueError, match=r".") as caught:
        load_yaml(text)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ['{"a": 1, "a": 2}', '{"a": {"b": 1, "b": 2}}', "[" * 100_000, "{", "", "nul"])
def test_json_that_is_wrong_is_a_value_error(text):
    with pytest.raises(ValueError, match=r"."):
        load_json(text)
