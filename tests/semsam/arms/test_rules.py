"""What arms are made of, without a model: settings, control neighbourhoods, truncations."""

import math

import pytest
import torch

from semsam.arms import ARMS, Loaded, arm_of
from semsam.arms.attention import last_place
from semsam.arms.controls import exchange, exchanged, random_sets
from semsam.arms.truncation import BeforeTemperature, TopNSigmaWarper
from semsam.arms.vcd import contrast, kept_share
from semsam.errors import SettingsError
from semsam.neighbours import build
from tests.helpers import slow_arms


@pytest.fixture(scope="module")
def tables():
    content = torch.ones(200, dtype=torch.bool)
    content[::17] = False
    return build(torch.randn(200, 8, generator=torch.Generator().manual_seed(0)), content, 6)


def rows(dtype=torch.float32) -> torch.Tensor:
    made = 3 * torch.randn(5, 200, generator=torch.Generator().manual_seed(1))
    made[2, 10:60] = -torch.inf
    return made.to(dtype)


def test_every_arm_has_the_name_it_is_found_by():
    assert set(ARMS) == {
        *("greedy", "default", "semsam", "semsam-guard", "k1", "shuffled", "random-k"),
        *("min-p", "top-n-sigma", "top-h", "vcd", "scalingvis", "adaptvis"),
    }
    for name in ARMS:
        assert arm_of(name).name == name
        assert arm_of(name, arm_of(name).settings()) == arm_of(name)


@pytest.mark.parametrize(
    ("name", "settings", "named"),
    [
        ("best", {}, "no such arm.*best.*greedy"),
        ("greedy", {"k": 3}, "greedy has no such setting.*k.*it has no settings"),
        ("min-p", {"min_p": 1.5}, "'min_p' of the arm min-p.*1.5"),
        ("top-n-sigma", {"n": -1}, "'n'"),
        ("top-h", {"top_h": 0}, "'top_h'"),
        ("k1", {"k": 2}, "'k' of the arm k1"),
        ("semsam", {"k": 0}, "'k'"),
        ("shuffled", {"group": 2}, "'group'"),
        ("shuffled", {"matching": "length"}, "'matching'"),
        ("vcd", {"distortion": "blurred"}, "'distortion'"),
        ("vcd", {"noise_step": 1000}, "'noise_step'"),
        ("adaptvis", {"threshold": "high"}, "'threshold'"),
        ("scalingvis", {"alpha": True}, "'alpha'"),
        ("default", {"temperature": 0}, "'temperature'"),
    ],
)
def test_wrong_settings_are_refused_by_name(name, settings, named):
    with pytest.raises(SettingsError, match=named):
        arm_of(name, settings)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("n", [0.5, 1.0, 2.5])
def test_top_n_sigma_keeps_what_loops_keep(dtype, n):
    given = rows(dtype)
    kept = TopNSigmaWarper(n)(None, given)
    assert kept.dtype == dtype
    for row, found in zip(given.tolist(), kept.tolist(), strict=True):
        assert {token for token, value in enumerate(found) if value > -math.inf} == slow_arms.top_n_sigma(row, n)


@pytest.mark.parametrize("temperature", [0.7, 1.0, 2.0])
def test_top_h_in_vllm_looks_at_tempered_logits(temperature):
    given = rows()
    arm = arm_of("top-h", {"top_h": 0.4, "temperature": temperature})
    kept = arm.vllm_processor()(None, given)
    for row, found in zip(given.tolist(), kept.tolist(), strict=True):
        stays = {token for token, value in enumerate(found) if value > -math.inf}
        assert stays == slow_arms.top_h(row, 0.4, temperature)
        assert all(found[token] == row[token] for token in stays)
    assert isinstance(arm.vllm_processor(), BeforeTemperature)


@pytest.mark.parametrize("with_probability", [True, False])
@pytest.mark.parametrize("group", [3, 8, 500])
def test_an_exchange_is_a_permutation_of_content_tokens_without_a_fixed_point(tables, group, with_probability):
    probability = torch.rand(200, generator=torch.Generator().manual_seed(2)) if with_probability else None
    other = exchange(tables.content, probability, group, 0)
    content = tables.content.nonzero().squeeze(1)
    assert sorted(other[content].tolist()) == content.tolist()
    assert torch.equal(other[~tables.content], (~tables.content).nonzero().squeeze(1))
    for power in (other, other[other]):
        assert not bool((power[content] == content).any())
    assert not torch.equal(other, exchange(tables.content, probability, group, 1))


def test_exchanged_tokens_are_alike():
    content = torch.ones(2000, dtype=torch.bool)
    probability = torch.rand(2000, generator=torch.Generator().manual_seed(3))
    other = exchange(content, probability, 16, 0)
    drawn = torch.randperm(2000, generator=torch.Generator().manual_seed(4))
    for what in (probability, torch.arange(2000).float()):
        assert (what[other] - what).abs().mean() < 0.3 * (what[drawn] - what).abs().mean()


def test_exchanged_neighbours_keep_weights_and_the_token_itself(tables):
    new = exchanged(tables, exchange(tables.content, None, 8, 0))
    check_control(new, tables)
    assert torch.equal(new.ids[:, 1:] != tables.ids[:, 1:], tables.content[:, None].expand(-1, 5))
    counts = [torch.bincount(each.ids[tables.content, 1:].flatten().long(), minlength=200) for each in (tables, new)]
    assert abs(counts[0].float().std() - counts[1].float().std()) < 0.5  # hubs stay hubs, of other tokens


@pytest.mark.parametrize("size", [200, 9, 2])
def test_random_neighbours_are_other_content_tokens_none_twice(tables, size):
    if size != 200:
        content = torch.ones(size, dtype=torch.bool)
        tables = build(torch.randn(size, 8, generator=torch.Generator().manual_seed(0)), content, 6)
    check_control(random_sets(tables, 0), tables)
    assert torch.equal(random_sets(tables, 3).ids, random_sets(tables, 3).ids)


def check_control(new, tables):
    assert torch.equal(new.weights, tables.weights)
    assert torch.equal(new.ids[:, 0], tables.ids[:, 0])
    for token in range(len(new.ids)):
        others = [other for other in new.ids[token, 1:].tolist() if other != token]
        assert len(others) == len(set(others)) == sum(other != token for other in tables.ids[token, 1:].tolist())
        assert all(tables.content[other] for other in others)


def test_contrast_is_the_formula_row_by_row():
    given, other = rows(), rows().flip(0).nan_to_num(neginf=-9.0)
    found = contrast(given, other, 1.5, math.log(0.05))
    for row, against, got in zip(given.tolist(), other.tolist(), found.tolist(), strict=True):
        assert got == pytest.approx(slow_arms.contrast(row, against, 1.5, 0.05), rel=1e-5)


def test_the_noise_grows_with_its_step():
    assert kept_share(0) > 0.9999
    shares = [kept_share(step) for step in (100, 500, 999)]
    assert shares == sorted(shares, reverse=True)
    assert 0.6 < kept_share(500) < 0.9


@pytest.mark.parametrize("mask", [None, "bool", "float"])
def test_the_last_place_is_plain_attention_where_the_factor_is_one(mask):
    draw = torch.Generator().manual_seed(0)
    query, key, value = (torch.randn(2, heads, 7, 4, generator=draw) for heads in (4, 2, 2))
    seen = torch.ones(2, 1, 7, 7, dtype=torch.bool).tril()
    seen[1, :, :, :3] = False
    given = {None: None, "bool": seen, "float": torch.zeros(2, 1, 7, 7).masked_fill(~seen, -torch.inf)}[mask]
    image = torch.zeros(2, 7, dtype=torch.bool)
    image[:, 3:5] = True
    arguments = (query[:, :, -1:], key, value, given, None, image)
    wide = [each.repeat_interleave(2, dim=1) for each in (key, value)]
    expected = torch.nn.functional.scaled_dot_product_attention(
        query[:, :, -1:], *wide, None if given is None else given[:, :, -1:]
    )
    torch.testing.assert_close(last_place(*arguments, torch.ones(2)), expected)
    sharper = last_place(*arguments, torch.tensor([1.0, 4.0]))
    torch.testing.assert_close(sharper[0], expected[0])
    assert not torch.allclose(sharper[1], expected[1], atol=1e-3)


@pytest.mark.parametrize("name", ARMS)
def test_vllm_gets_sampling_parameters_or_a_refusal_by_name(name):
    arm = arm_of(name, {"matching": "frequency"} if name == "shuffled" else {})
    if arm.needs == "logits":
        assert isinstance(arm.for_vllm(), dict)
        if name != "default":
            assert (arm.for_vllm()["temperature"] == 0) == (not arm.sampled)
        return
    with pytest.raises(SettingsError, match=f"arm {name} needs .*{arm.needs}.*engine: transformers"):
        arm.for_vllm()


def test_shuffled_by_probability_is_refused_in_vllm():
    with pytest.raises(SettingsError, match=r"arm shuffled.*Remedy: give the arm matching: frequency"):
        arm_of("shuffled").for_vllm()


def test_default_samples_where_it_or_the_model_says_so():
    from transformers import GenerationConfig

    assert not arm_of("default").samples(GenerationConfig())
    assert arm_of("default").samples(GenerationConfig(do_sample=True))
    assert arm_of("default", {"temperature": 0.7}).samples(GenerationConfig())
    assert Loaded(None, None).once("a", lambda: 1) == 1
