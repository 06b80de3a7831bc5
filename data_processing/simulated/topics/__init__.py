"""The topics of the simulated world."""

from data_processing.simulated.topics.code import CODE
from data_processing.simulated.topics.cooking import COOKING
from data_processing.simulated.topics.finance import FINANCE
from data_processing.simulated.topics.history import HISTORY
from data_processing.simulated.topics.science import SCIENCE
from data_processing.simulated.topics.sport import SPORT
from data_processing.simulated.topics.topic import Topic

TOPICS: dict[str, Topic] = {topic.name: topic for topic in (SCIENCE, HISTORY, COOKING, CODE, FINANCE, SPORT)}


def topic_with(field: str, entry: str) -> Topic | None:
    """Return the topic whose `field` holds `entry`, or None."""
    for topic in TOPICS.values():
        if entry in getattr(topic, field):
            return topic
    return None
