"""What a foreign text is about, by its words: how a simulated LLM tells its strong subjects from its weak ones."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Set

_WORD = re.compile(r"[a-z]+")

_TOPIC_WORDS: dict[str, str] = {
    "science": """science scientist physics physicist chemistry biology planet star space oxygen energy temperature
        species animal animals plant plants cell cells disease vaccine medical patients virus water ocean climate carbon
        electricity electric electron gas heat force motion theorem laboratory experiment research researchers gene
        trees tree fish birds bird dog dogs engine steam machine algorithm geology earth""",
    "history": """history century war empire king queen emperor dynasty medieval ancient battle army military troops
        president government parliament church castle revolution treaty colonial colony settlers royal duke bishop
        ruled reign soldiers rebellion constitution election minister police court law laws city legislation rights""",
    "cooking": """food cook cooking recipe kitchen oven flour sugar butter egg eggs milk cheese bread cake cakes cookies
        cookie pie pizza soup salad fruit apple apples orange oranges banana bananas lemon candy candies chocolate
        restaurant dinner lunch breakfast meal meals coffee tea cups eat eats ate chicken beef rice potatoes vegetables
        healthy diet ingredients ounces chef""",
    "code": """code software program programming computer computers python function algorithm algorithms data database
        website web internet app apps user users server file files email online network google apple facebook twitter
        phone phones video machine technology digital complexity turing list array string variable""",
    "finance": """money dollar dollars price prices cost costs pay pays paid payment salary bank loan tax taxes budget
        invest investment market stock stocks profit sell sells sold buy buys bought bill bills rent earn earns earned
        savings account interest economy economic trade business company companies million billion insurance""",
    "sport": """sport sports team teams game games player players season football basketball baseball soccer tennis
        coach score scored goal goals match league bowl super nfl champion champions championship race run runs running
        miles swim swimming gym exercise training marathon bike olympic stadium quarterback defense touchdown""",
}
TOPIC_OF: dict[str, tuple[str, ...]] = {}
for _topic, _words in _TOPIC_WORDS.items():
    for _word in _words.split():
        TOPIC_OF[_word] = (*TOPIC_OF.get(_word, ()), _topic)


def telling_words(text: str) -> Counter[str]:
    """Return how often each word stands in the text that tells of a topic."""
    return Counter(word for word in _WORD.findall(text.lower()) if word in TOPIC_OF)


def topic_of(words: Counter[str], ignored: Set[str] = frozenset()) -> str:
    """Return the topic most of the words speak of, an empty string where none does. Repeats of a word count once more
    at most, and of equally strong topics the first counts."""
    strength: Counter[str] = Counter()
    for word, count in words.items():
        for topic in TOPIC_OF[word] if word not in ignored else ():
            strength[topic] += min(count, 2)
    # `most_common` keeps the order of insertion among equals, which is that of the text
    return strength.most_common(1)[0][0] if strength else ""
