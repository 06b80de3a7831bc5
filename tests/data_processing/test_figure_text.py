import io
import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.cbook import is_math_text
from matplotlib.figure import Figure

from data_processing.figure_text import plain, plain_values, without_glyph_warnings
from tests.data_processing.nasty_names import NASTY


def picture(text: str, parse_math: bool = True) -> np.ndarray:
    figure = Figure(figsize=(3, 1), dpi=50)
    figure.text(0.05, 0.5, text, parse_math=parse_math)
    canvas = FigureCanvasAgg(figure)
    with without_glyph_warnings():
        canvas.draw()
    return np.asarray(canvas.buffer_rgba()).copy()


@pytest.mark.parametrize("name", [*NASTY, "\\$5", "\\\\$x$", "$"])
def test_a_name_is_drawn_as_it_is(name: str) -> None:
    assert np.array_equal(picture(plain(name)), picture(" ".join(name.split()), parse_math=False))


@given(st.text(st.sampled_from("$\\a_ \n\t\ud83d"), max_size=8))
def test_no_name_is_mathematics_and_none_is_changed(name: str) -> None:
    found = plain(name)
    assert not is_math_text(found)
    shown = found.replace(r"\$", "$").removeprefix("\u200b")
    assert shown == " ".join(name.replace("\ud83d", "\ufffd").split())
    assert not found.startswith("_"), "legends would leave it out"


def test_a_name_in_a_legend_is_not_left_out() -> None:
    ax = Figure().subplots()
    ax.plot([1], [1], label=plain("_name"))
    assert len(ax.get_legend_handles_labels()[1]) == 1


def test_the_values_of_a_mapping_are_made_plain() -> None:
    assert plain_values({"a$": "$"}) == {"a$": "\\$"}


def test_only_warnings_of_glyphs_are_silenced() -> None:
    figure = Figure()
    figure.text(0.5, 0.5, "日本")
    with pytest.warns(UserWarning, match="Glyph .* missing from font"):
        figure.savefig(io.BytesIO(), format="png")
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        with without_glyph_warnings():
            figure.savefig(io.BytesIO(), format="png")
            warnings.warn("another", UserWarning, stacklevel=1)
    assert [str(warning.message) for warning in told] == ["another"]
