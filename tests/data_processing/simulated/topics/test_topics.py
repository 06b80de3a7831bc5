"""Topics: their marks are their own and their sentences can be told apart."""

import pytest

from data_processing.simulated.topics import TOPICS, topic_with
from data_processing.simulated.topics.topic import listed


@pytest.mark.parametrize("field", ["things", "goals", "actions"])
def test_what_names_a_topic_belongs_to_it_alone(field: str) -> None:
    for topic in TOPICS.values():
        for entry in getattr(topic, field):
            assert topic_with(field, entry) is topic
    assert topic_with(field, "unheard of") is None


def test_entries_are_unique_and_whole() -> None:
    for topic in TOPICS.values():
        for field in ("things", "kinds", "parts", "causes", "risks", "fillers", "goals", "tips"):
            entries = getattr(topic, field)
            assert len(set(entries)) == len(entries) >= 6, (topic.name, field)
        for sentence in (*topic.tips, *topic.mistakes, *topic.examples, *topic.reasons, *topic.fillers):
            assert sentence.endswith(".")
            assert ". " not in sentence, "a sentence must stay one sentence when a text is split"


def test_every_topic_asks_for_every_kind_of_span() -> None:
    for topic in TOPICS.values():
        assert {relation.answer_kind for relation in topic.relations} == {"person", "date", "town", "parts", "cause"}


def test_listed_splits_and_strips() -> None:
    assert listed("a b,\n   c , ") == ("a b", "c")
