"""A direction as a question to be answered with yes or no, such as "Is A to the left of B?".

One of the two directions of a fact is drawn and asked of both rows of its pair: the answer is yes in one and no in the
other, whichever it is, so that neither word and neither direction is right more often.
"""

import random
from dataclasses import dataclass

from dataset_builder.core.factors import Plane
from dataset_builder.core.settings import Settings, digest
from dataset_builder.questions.question import Names
from dataset_builder.questions.sampling import Unit
from dataset_builder.questions.wording import image_term, opposites, wording


@dataclass(frozen=True)
class Claim:
    """What is asked to be confirmed or denied.

    Args:
        relation: the direction, as a clinical term in the patient.
        template: the question, for :func:`dataset_builder.questions.wording.fill`.
        options: ``yes`` and ``no`` in the order in which they are listed.
        term: in the frame of the image, its word as shown; else empty.
    """

    relation: str
    template: str
    options: list[str]
    term: str = ""

    @classmethod
    def of(cls, unit: Unit, plane: Plane, names: Names, settings: Settings) -> "Claim":
        """The claim of a unit about a direction."""
        draw = random.Random(digest("yes or no", settings.seed, names.wording_seed))
        relation = draw.choice(sorted((unit.fact.relation, opposites()[unit.fact.relation])))
        words = wording()["yes_no"]
        options = list(words["options"])
        draw.shuffle(options)
        form = words[unit.frame][unit.register]
        if unit.frame == "image":
            term = image_term(relation, plane, unit.convention, unit.view)
            return cls(relation, form.replace("{relation}", words["image_relations"][term]), options, term)
        return cls(relation, form.replace("{relation}", words["relations"][relation][unit.register]), options)

    def answer(self, relation: str) -> str:
        """The answer where A is in that relation to B."""
        return "yes" if relation == self.relation else "no"

    def prior(self, term: str) -> str:
        """The answer of who expects A to be left, right, above or below of B in the image."""
        return "yes" if term == self.term else "no"
