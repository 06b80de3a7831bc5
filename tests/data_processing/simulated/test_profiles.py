"""Profiles: prices and families as promised, and any number of them."""

import re

from data_processing.simulated.profiles import PROFILES, profiles
from data_processing.simulated.topics import TOPICS


def test_prices_are_realistic_and_descriptions_quote_none() -> None:
    prices = [p for q in PROFILES for p in (q.input_price_usd_per_mtok, q.output_price_usd_per_mtok)]
    assert (min(prices), max(prices)) == (0.06, 10.0)
    for profile in PROFILES:
        assert profile.input_price_usd_per_mtok < profile.output_price_usd_per_mtok
        assert not re.search(r"\d|\$|cheap|price|cost|dollar", profile.description, re.IGNORECASE), profile.llm_id


def test_niches_name_known_topics() -> None:
    for profile in PROFILES:
        assert {topic for _, topic in profile.niches} <= set(TOPICS)
        assert set(profile.style.refusals) <= set(TOPICS)


def test_fewer_are_the_first_and_more_are_seeded_variants() -> None:
    assert profiles(3, seed=5) == PROFILES[:3]
    many = profiles(35, seed=5)
    assert many[:10] == PROFILES
    assert many == profiles(35, seed=5)
    assert many[10:] != profiles(35, seed=6)[10:]
    assert len({profile.llm_id for profile in many}) == 35
    assert {profile.family for profile in many} == {profile.family for profile in PROFILES}
    assert all(profile.input_price_usd_per_mtok > 0 for profile in many)


def test_skill_falls_with_difficulty_and_rises_in_the_niche() -> None:
    forge = next(profile for profile in PROFILES if profile.family == "forge")
    assert forge.skill("arithmetic", "code", 1, "plain") > forge.skill("arithmetic", "code", 3, "plain")
    assert forge.skill("arithmetic", "code", 1, "plain") > forge.skill("arithmetic", "cooking", 1, "plain")
    assert forge.skill("arithmetic", "code", 1, "plain") > forge.skill("arithmetic", "code", 1, "casual")
