from dataset_builder.core.hashing import coin, digest


def test_a_digest_tells_parts_from_each_other():
    assert digest("a", "b") != digest("ab") != digest("b", "a")
    assert len(digest(1)) == 16


def test_a_coin_is_fair_and_always_falls_the_same_way():
    falls = [coin("a", number) for number in range(1000)]
    assert falls == [coin("a", number) for number in range(1000)]
    assert 420 < sum(falls) < 580
