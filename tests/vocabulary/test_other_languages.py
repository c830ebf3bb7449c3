from importlib import resources
from itertools import product

import pytest
import yaml

from dataset_builder.sources.named_labels import suggestions
from dataset_builder.vocabulary import find, names_in_other_languages, read_side, structures, without_accents

TABLE = yaml.safe_load(
    resources.files("dataset_builder.vocabulary").joinpath("other_languages.yaml").read_text(encoding="utf-8")
)
NAMES = [
    (language, key, name) for language, part in TABLE.items() for key, said in part["names"].items() for name in said
]
SIDES_OF = {
    "de": ("links", "rechts"),
    "fr": ("gauche", "droit"),
    "es": ("izquierdo", "derecha"),
    "it": ("sinistra", "destro"),
    "nl": ("linker", "rechts"),
    "pt": ("esquerda", "direito"),
}
SIDES = ("left", "right")


def meant(name):
    found = find(name)
    return found.name if found else None


@pytest.mark.parametrize(
    ("names", "structure"),
    [
        ("Niere links, linke Niere, Niere_li, li. Niere, NiereLinks, Niere L, left Niere, NIERE-LT", "kidney_left"),
        ("rein gauche, Rein_G, ReinG, rein gche, riñón izquierdo, RINON IZQ, rene sx, rene sin.", "kidney_left"),
        ("linkernier, nier links, linker nier, rim esquerdo, Rim_Esq, rim E", "kidney_left"),
        ("Niere re., re Niere, rein droit, Rein D, riñón der., Riñon_D, rene dx, rechternier, rim D", "kidney_right"),
        ("Leber, LEBER, foie, hígado, higado, fegato, lever, fígado", "liver"),
        ("Milz, rate, bazo, milza, milt, baço, BACO", "spleen"),
        ("Harnblase, Blase, vessie, vejiga, vescica, blaas, bexiga", "urinary_bladder"),
        ("Rückenmark, Rueckenmark, Ruckenmark, moelle épinière, médula espinal, midollo spinale", "spinal_cord"),
        ("Herz, cœur, coeur, corazón, cuore, hart, coração, coracao", "heart"),
        ("LWK 3, LWK3, lwk_3", "vertebrae_L3"),
        ("lobe supérieur gauche, Oberlappen li, lóbulo superior izquierdo, bovenkwab links", "lung_upper_lobe_left"),
        ("Lunge re, poumon droit, pulmón der, polmone destro, rechterlong, pulmão direito", "lung_right"),
    ],
)
def test_what_hospitals_call_organs_is_understood(names, structure):
    assert {name: meant(name) for name in names.split(", ")} == dict.fromkeys(names.split(", "), structure)


@pytest.mark.parametrize("name", ["Rückenmark", "ru\u0308ckenmark", "Ru\u0308ckenmark"])
def test_letters_composed_of_two_are_the_same(name):
    assert meant(name.capitalize()) == "spinal_cord"


@pytest.mark.parametrize(
    "name",
    [
        *("moelle", "médula", "vésicule", "vesícula izquierda", "amygdale gauche", "amígdala izquierda"),
        *("ventricule gauche", "linker Ventrikel", "aurícula izquierda", "Hüfte links", "os iliaque droit"),
        # English words, which a side of another language does not make Portuguese or Dutch
        *("rim", "left rim", "rim L", "long", "long left", "long R", "Femur D", "femur E"),
        *("rain left", "heart rate", "rate left", "rating", "Leber PTV", "PTV Leber", "Leberherd", "Leber 2"),
        *("Niere", "Nieren", "rein", "reins", "Niere links rechts", "li. Niere re.", "Rein G D", "Mittellappen links"),
        *("Leber links", "foie G", "lobe moyen gauche", "Schilddrüse re", "Blase li", "lk Milz"),
    ],
)
def test_what_is_not_clear_stays_unknown(name):
    assert meant(name) is None


@pytest.mark.parametrize("language", TABLE)
def test_no_name_gains_or_loses_its_side(language):
    """Each name of the table alone, with each side word of its language and with the abbreviations."""
    words = structures()
    table = TABLE[language]
    spelled = {side: [SIDES_OF[language][at], side, *table["sides"][side]] for at, side in enumerate(SIDES)}
    for key, names in table["names"].items():
        for name in names:
            alone = meant(name)
            assert alone == (key if key in words else None), name
            assert alone is None or words[alone].side == read_side(name)[1] or key.endswith(SIDES), name
            if key.endswith(SIDES):
                continue
            for side, word in ((one, word) for one in SIDES for word in spelled[one]):
                if without_accents(name) == key and word in table["sides"][side]:
                    assert meant(f"{name} {word}") is None, (name, word)  # an English word, too
                    continue
                found = meant(f"{name} {word}")
                assert found == (f"{key}_{side}" if f"{key}_{side}" in words else None), (name, word)
                assert found is None or words[found].side == side


def test_a_name_means_one_structure_in_all_languages_and_in_english():
    english = {
        without_accents(spelling): row.name for row in structures().values() for spelling in (row.name, *row.aliases)
    }
    owner: dict[str, str] = {}
    for _, key, name in NAMES:
        plain = without_accents(name)
        assert owner.setdefault(plain, key) == key, name
        assert english.get(plain, key) == key, name


def test_the_table_names_structures_and_sides():
    words = structures()
    for language, key, name in NAMES:
        assert key in words or {f"{key}_left", f"{key}_right"} & words.keys(), (language, key)
        assert name == name.strip()
    for language, part in TABLE.items():
        assert set(part) == {"sides", "names"}
        left, right = (part["sides"][side] for side in SIDES)
        assert not set(left) & set(right), language
    # The same letter never says left in one language and right in another.
    for (_, one), (_, other) in product(TABLE.items(), repeat=2):
        assert not set(one["sides"]["left"]) & set(other["sides"]["right"])


@pytest.mark.parametrize(
    ("word", "near"),
    [
        ("Nieren", {"kidney_left", "kidney_right"}),
        ("Niere", {"kidney_left", "kidney_right"}),
        ("Nire links", {"kidney_left"}),
        ("reins", {"kidney_left", "kidney_right"}),
        ("pulmon", {"lung_left", "lung_right"}),
        ("Lebr", {"liver"}),
    ],
)
def test_what_is_nearly_a_name_gets_its_structures(word, near):
    found = suggestions(word, structures())
    assert near <= set(found)
    if read_side(word)[1]:
        assert {structures()[name].side for name in found} <= {None, read_side(word)[1]}


def test_a_users_own_row_goes_first(tmp_path):
    own = tmp_path / "own.yaml"
    own.write_text("leber: {clinical: own liver, lay: my liver, region: abdomen, aliases: [Milz]}\n")
    words = structures(own)
    assert (find("Leber", words), find("Milz", words)) == (words["leber"], words["leber"])
    assert find("foie", words) is words["liver"]


def test_names_are_listed_by_language():
    assert names_in_other_languages("kidney_left")["de"] == ("Niere",)
    assert names_in_other_languages("kidney_left")["pt"] == ("rim esquerdo", "rim esq", "rim E")
    assert names_in_other_languages("enhancing_tumour") == {}


def test_short_pieces_of_words_in_other_languages_are_no_near_misses():
    assert not {"small_bowel", "colon"} & set(suggestions("arm", structures()))  # Dünndarm
    assert suggestions("LK", structures())[:1] in ([], ["kidney_left"])
