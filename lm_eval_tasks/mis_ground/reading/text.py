"""Text as it is read: one form of each character, no markup, sentences and their clauses."""

import re
import unicodedata
from collections.abc import Iterator

YES, NO = " YESMARK ", " NOMARK "
_TICKS = str.maketrans(dict.fromkeys("✓✔✅☑🗹", YES) | dict.fromkeys("✗✘❌☒🚫❎✖", NO))
_ARROWS = re.compile(r"\s*(?:-+>|=+>|[→⇒⟶⟹➔➜➡⮕▶►]|\\(?:long)?(?:right|Right)arrow\b|\\to\b|\\implies\b)\s*")
_DIRECTED = re.compile("[⬅⬆⬇↗↘↙↖👈👉👆👇]")
_ABBREVIATIONS = re.compile(
    r"\b(i\.\s?e|e\.\s?g|vs|approx|resp|lt|rt|fig|cf|dr|st|etc|(?:no|nr)(?=\.\s?\d))\.(?=\s|,|\d)", re.I
)


def plain(text: str) -> str:
    r"""Text as options are compared: no case, no markup, one kind of dash, quote and blank.

    >>> plain("**Left**\u2013hand  side")
    'left-hand side'
    """
    text = unicodedata.normalize("NFKC", text).casefold()
    text = re.sub("[\u2010-\u2015\u2212]", "-", text)
    text = re.sub("[\u2018\u2019\u02bc]", "'", text)
    text = re.sub(r'[*`#~"\u201c\u201d]', "", text)
    return re.sub(r"[\s_]+", " ", text).strip()


def clean(text: str) -> str:
    """Text with its case and lines, but without markup, emoji and LaTeX."""
    text = re.sub(r"\[\s\](?= *\w)", NO, re.sub(r"\[[xX]\](?= *\w)", YES, text))
    text = text.translate(_TICKS)
    text = _ARROWS.sub(" -> ", text)
    text = re.sub(r"\\(?:left|right)\s*(?=[()\[\]{}|.\\/])", "", text)
    text = re.sub(
        r"\\(?:text|textbf|textit|mathrm|mathbf|mathit|textrm|operatorname|emph|mbox)\s*\{([^{}]*)\}", r"\1", text
    )
    text = re.sub(r"\\[()\[\],;:!]|\\q?quad\b|\$", " ", text)
    text = re.sub(
        r"</?(?:b|i|u|em|strong|p|br|span|div|code|center|sub|sup|li|ul|ol|h\d)\b[^<>]*>", " ", text, flags=re.I
    )
    text = unicodedata.normalize("NFKC", text)
    text = re.sub("[\u2010-\u2015\u2212]", "-", text)
    text = re.sub("[\u2018\u2019\u02bc\u2032]", "'", text)
    text = re.sub(r"(?m)^\s*```\w*\s*$", "", text).replace("```", " ")
    text = re.sub(r'[*`~"\u201c\u201d\u201e\u00ab\u00bb]', "", text)
    text = re.sub(r"(?m)^\s*#+\s*(.*?)\s*#*\s*$", r"\1:", text)
    text = re.sub(r"(?<!\w)_+|_+(?!\w)", "", text)
    text = _DIRECTED.sub(" ", text)
    text = "".join(
        " " if unicodedata.category(char) in ("So", "Sk", "Cf", "Mn") and char not in "°" else char for char in text
    )
    return re.sub(r"[ \t\u00a0]+", " ", text).strip()


def sentences(text: str) -> list[str]:
    """The sentences of a cleaned text, with what ends them; a line is at least one."""
    text = _ABBREVIATIONS.sub(lambda found: found[1].replace(".", "").replace(" ", ""), text)
    text = re.sub(r"(?m)^\s*(?:[-•·+]|\(?\d{1,2}[.)])\s+(?=\S)", "", text)
    parts = re.split(r"\n+|(?<=[.!?。！？;；])(?=\s|[^\x00-\x7f]|$)|(?<=\.)(?=[A-Z][a-z])|\.{2,}|…", text)
    return [part.strip() for part in parts if part and part.strip(" .-")]


CONNECTORS = {
    "conclusion": (
        r"so(?! (?:that|far|as|called|much|many|let|i\b))|therefore|thus|hence|which "
        r"means(?: that)?|this means(?: that)?|that means(?: that)?|meaning(?: that)?|"
        r"consequently|accordingly|ie|that is(?=,)|that is to say|in other words|in conclusion|"
        r"overall|in summary|to conclude|finally|it follows that|we conclude that|which "
        r"makes|making|placing it|putting it"
    ),
    "reason": r"because|since|given(?: that)?|as (?=(?:it|the|r\d)\b)|due to|based on|considering|for (?=it )",
    "concession": r"although|though|even though|despite|while|whereas|at first glance|at first",
    "contrast": r"but|however|yet|nevertheless|nonetheless|instead(?! of)",
    "correction": (
        r"no(?=,)|wait|actually|sorry|correction|scratch that|i mean|or rather|on second "
        r"thoughts?|let me (?:correct|rethink|re-?check|re-?consider)[^,:]*|hmm+|oops|"
        r"my mistake|strike that|apologies|i misspoke|to correct myself"
    ),
    "otherwise": r"otherwise|else",
    "relative": (
        r"which|who|whose|(?:which )?(?:flips|translates|maps|converts|switches|swaps) (?:it )?(?:in)?to|becomes|"
        r"corresponding to"
    ),
    "and": r"and",
}
_CONNECTOR = re.compile(
    "|".join(rf"(?P<{name}>\b(?:{words})(?:\b|(?<=[ ,])))" for name, words in CONNECTORS.items()), re.I
)
_SEPARATOR = re.compile(r"\s*(?:[,:;()\[\]|=]|->| - |--|/{2})\s*")


def clauses(sentence: str) -> Iterator[tuple[frozenset[str], str]]:
    """The clauses of a sentence, each with the kinds of words that lead it in.

    >>> list(clauses("a is left, so b is right"))
    [(frozenset(), 'a is left'), (frozenset({'conclusion'}), 'b is right')]
    """
    leading: set[str] = set()
    for piece in _SEPARATOR.split(sentence):
        rest, start = piece.strip(" .;!?。；！？"), 0
        while rest:
            found = _CONNECTOR.search(rest, start)
            if found is None:
                yield frozenset(leading), rest
                leading = set()
                break
            kind = found.lastgroup or ""
            if kind == "and" and not _begins_a_clause(rest[found.end() :]):
                start = found.end()
                continue
            before = rest[: found.start()].strip()
            if before:
                yield frozenset(leading), before
                leading = set()
            if kind in ("contrast", "correction", "conclusion"):
                leading.discard("concession")
            leading.add(kind)
            rest, start = rest[found.end() :].strip(), 0
        if not rest and not leading:
            leading = set()


def _begins_a_clause(text: str) -> bool:
    if re.match(r"\s*(?:the )?R\d (?:are|lie|both|touch|have|sit|share|appear|do)\b", text):
        return False
    return bool(
        re.match(
            r"\s*(?:(?:the )?R\d\b|it\b|is\b|lies\b|therefore|so\b|thus|hence|not\b|then\b|on the\b|to the\b|that\b)",
            text,
        )
    )
