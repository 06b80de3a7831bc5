import itertools

import numpy as np
import pandas as pd
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.text import Annotation, Text

from configs.schema import Evaluate
from evaluation.style import Label, new_figure, place_labels, policy_style, short_names, user_groups


def test_every_policy_of_the_configuration_has_its_own_look():
    names = Evaluate().policies
    assert len({policy_style(name) for name in names}) == len(names)
    assert policy_style("added later") not in {policy_style(name) for name in names}


def test_short_names():
    long = "meta/code-llama-instruct-34b-chat-with-a-very-long-name"
    names = short_names(["openai/gpt-4", "azure/gpt-4", "meta/llama", long])
    assert names["openai/gpt-4"] == "openai/gpt-4"  # would collide when shortened
    assert names["meta/llama"] == "llama"
    assert len(names[long]) == 26
    assert "…" in names[long]
    assert short_names([]) == {}


@given(st.lists(st.text(min_size=1, max_size=60), unique=True, max_size=8))
@settings(max_examples=50)
def test_short_names_never_merge_two_llms(ids):
    names = short_names(ids)
    assert list(names) == ids
    assert len(set(names.values())) == len(ids) or any(value in ids for value in names.values())


@given(st.integers(1, 60), st.integers(1, 20))
@settings(max_examples=50)
def test_user_groups_hold_every_user_once_in_order(count, limit):
    preferences = np.random.default_rng(count).random(count)
    users = pd.DataFrame({"user_id": [f"u{i}" for i in range(count)], "preference": preferences})
    groups = user_groups(users, limit)
    assert len(groups) == min(limit, count)
    members = [user for group in groups for user in group.user_ids]
    assert sorted(members) == sorted(users["user_id"])
    assert [group.preference for group in groups] == sorted(group.preference for group in groups)
    assert max(len(g.user_ids) for g in groups) - min(len(g.user_ids) for g in groups) <= 1


def test_groups_of_personas_have_no_preference():
    users = pd.DataFrame({"user_id": ["a", "b"], "preference": [0.5, np.nan]})
    alone, persona = user_groups(users, 5)
    assert alone.label == "a (α 0.50)"
    assert persona.label == "b"
    assert np.isnan(persona.preference)
    assert np.isnan(user_groups(users, 1)[0].preference)


def boxes(figure):
    texts = [child for child in figure.axes[0].get_children() if isinstance(child, Annotation)]
    figure.draw_without_rendering()
    return [Text.get_window_extent(text) for text in texts]  # without the leaders


def test_labels_overlap_neither_each_other_nor_the_axes():
    rng = np.random.default_rng(0)
    points = [*zip(rng.random(25), rng.random(25), strict=True)]
    figure, (ax,) = new_figure(8, 5)
    ax.scatter(*zip(*points, strict=True))
    labels = [Label(x, y, f"some-model-{i}b") for i, (x, y) in enumerate(points)]
    written = place_labels(figure, ax, labels, points)
    found = boxes(figure)
    assert len(found) == written >= 20
    for one, other in itertools.combinations(found, 2):
        assert not one.padded(-0.5).overlaps(other.padded(-0.5))


def test_labels_without_room_are_left_out():
    figure, (ax,) = new_figure(3, 2)
    ax.set(xlim=(0, 1), ylim=(0, 1))
    labels = [Label(0.5, 0.5, "a long name of a model " * 3)] + [Label(0.5, 0.5, "short")] * 90
    written = place_labels(figure, ax, labels, [(0.5, 0.5)])
    assert 0 < written < 60
    assert all(child.get_text() == "short" for child in ax.get_children() if isinstance(child, Annotation))


def test_of_many_personas_some_are_taken_each_alone():
    users = pd.DataFrame({"user_id": [f"p{i:02d}" for i in range(50)], "preference": np.nan})
    groups = user_groups(users, 4)
    assert [group.user_ids for group in groups] == [("p00",), ("p16",), ("p33",), ("p49",)]
