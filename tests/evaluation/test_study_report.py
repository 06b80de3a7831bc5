"""The studies' tables and what the report and the run's folder get of them."""

import dataclasses
import json

import pandas as pd
import pytest

from configs.errors import InputError
from evaluation.content import CAPTIONS, build_content
from evaluation.report import render_markdown, write_report
from evaluation.results import validate
from evaluation.studies import STUDIES
from evaluation.study_numbers import study_means
from evaluation.study_plots import STUDY_PLOTS
from evaluation.study_report import STUDY_CAPTIONS, study_tables
from evaluation.summary import summarise
from evaluation.wording import number, percent
from tests.evaluation.fake_results import make_results
from tests.evaluation.fake_studies import make_studies

TITLES = ["Thin logs", "Ablation", "New users", "New LLMs"]


def results_with(**size):
    return dataclasses.replace(make_results(users=2, llms=3, queries=6, repeats=1), studies=make_studies(**size))


def tables_of(**size):
    return {table.title: table for table in study_tables(results_with(**size))}


def test_every_study_has_a_table_a_figure_and_a_caption():
    assert list(STUDIES) == list(STUDY_PLOTS) == list(STUDY_CAPTIONS)
    assert list(tables_of()) == TITLES
    assert not set(STUDY_CAPTIONS) & set(CAPTIONS)


@pytest.mark.parametrize("size", [{}, {"repeats": 1}, {"persona": True}, {"llms": 2}])
def test_every_row_has_every_column(size):
    for table in tables_of(**size).values():
        assert table.rows
        assert {len(row) for row in table.rows} == {len(table.columns)}
        assert len(table.marks) == len(table.rows)
        assert all(isinstance(cell, str) for row in table.rows for cell in row)
        assert "nan" not in str(table.rows).replace("finance", "")
        assert "–" not in "".join(cell for row in table.rows[1:] for cell in row[1:])
        assert ("±" in str(table.rows)) == (size.get("repeats") != 1)
        assert table.about.startswith(("Accuracy", "The graph") if size.get("persona") else ("Reward", "The graph"))


def test_thin_logs_has_a_column_per_length_of_log():
    table, means = tables_of()["Thin logs"], study_means(make_studies()["thin_logs"])
    assert table.columns == ("Policy", "Log", "1 per user", "5 per user", "20 per user", "all per user")
    assert [row[:2] for row in table.rows[:2]] == [("graph", "1 LLM per query"), ("knn", "1 LLM per query")]
    assert len(table.rows) == 16
    (wanted,) = means.query("panel == '2 LLMs per query' and series == 'knn' and x == 20").to_dict("records")
    (row,) = [row for row in table.rows if row[:2] == ("knn", "2 LLMs per query")]
    share = percent(wanted["ratio"], 1)
    assert row[4] == f"{number(wanted['value'])} ± {number(wanted['value_std'])} ({share})"
    assert table.marks[:2] == ["graph", ""]


def test_ablation_lists_differences_to_the_full_model():
    table, means = tables_of()["Ablation"], study_means(make_studies()["ablation"])
    assert [row[0] for row in table.rows] == means["series"].tolist()
    assert table.marks == ["graph", "", "", "", ""]
    assert table.rows[0][2] == "–"
    for row, wanted in zip(table.rows[1:], means.iloc[1:].to_dict("records"), strict=True):
        assert row[2] == f"{number(wanted['difference'], sign=True)} ± {number(wanted['difference_std'])}"
        assert row[3] == percent(wanted["ratio"], 1)


def test_new_users_are_compared_with_the_router_trained_with_them():
    table = tables_of()["New users"]
    assert table.columns == ("Policy", "0 interactions", "1 interaction", "5 interactions", "20 interactions")
    assert [row[0] for row in table.rows] == [
        "graph, without them",
        "best_single, without them",
        "graph, trained with them",
    ]
    assert table.rows[2][1:] == ("0.500",) * 4
    assert table.marks == ["graph", "floor", ""]


def test_new_llms_are_shares_with_the_mean_first():
    table, means = tables_of()["New LLMs"], study_means(make_studies()["new_llms"])
    assert table.columns == ("LLM", "Router that ignores it", "0 queries", "20 queries", "50 queries", "200 queries")
    assert table.rows[0][0] == "mean of these LLMs"
    assert len(table.rows) == 10
    ignored, probed = means[means["x"].isna()], means[means["x"] == 50]
    assert table.rows[0][1] == percent(float(ignored["ratio"].mean()), 1)
    assert table.rows[0][4] == percent(float(probed["ratio"].mean()), 1)
    for row in table.rows[1:]:
        (wanted,) = ignored[ignored["series"] == row[0]].to_dict("records")
        spread = number(100 * wanted["difference_std"] / 0.5, 1)
        assert row[1] == f"{percent(wanted['ratio'], 1)} ± {spread}"


def test_a_run_without_studies_looks_as_before():
    results = make_results(users=2, llms=3, queries=6, repeats=1)
    metrics = summarise(results, 0)
    assert results.studies == {}
    assert "studies" not in metrics
    assert study_tables(results) == ()
    assert [t.title for t in build_content(results, metrics).tables if t.title in TITLES] == []


def test_the_folder_gets_tables_figures_and_numbers(tmp_path):
    results = results_with(repeats=2)
    metrics = write_report(results, tmp_path, plot_dpi=50, resamples=0)
    for name, table in results.studies.items():
        read = pd.read_csv(tmp_path / "studies" / f"{name}.csv", keep_default_na=True)
        pd.testing.assert_frame_equal(read.fillna({"panel": ""}), table, check_dtype=False)
        assert (tmp_path / "plots" / f"{name}.png").is_file()
        assert len(metrics["studies"][name]) == len(study_means(table))
    assert list(metrics["studies"]) == list(STUDIES)
    json.dumps(metrics, allow_nan=False)
    text, html = (tmp_path / "report.md").read_text(), (tmp_path / "report.html").read_text()
    for title in TITLES:
        assert f"\n## {title}\n" in text
        assert f"<h2>{title}</h2>" in html
    for name, (title, _) in STUDY_CAPTIONS.items():
        assert f"![{title}](plots/{name}.png)" in text
        assert title in html


def test_only_the_studies_that_were_run_are_shown(tmp_path):
    results = results_with()
    results = dataclasses.replace(results, studies={"new_users": results.studies["new_users"]})
    metrics = write_report(results, tmp_path, plot_dpi=50, resamples=0, html=False)
    assert list(metrics["studies"]) == ["new_users"]
    assert [path.name for path in (tmp_path / "studies").iterdir()] == ["new_users.csv"]
    assert "## New users" in render_markdown(results, metrics)
    assert "## Ablation" not in render_markdown(results, metrics)
    assert not (tmp_path / "plots" / "ablation.png").exists()


def test_tables_of_studies_are_checked():
    results = results_with()
    table = results.studies["ablation"]
    for wrong, text in (
        (table.drop(columns="x"), "ablation: study: expected columns panel"),
        (pd.concat([table, table.iloc[:1]]), "study ablation: expected one row per"),
    ):
        with pytest.raises(InputError, match=text):
            validate(dataclasses.replace(results, studies={"ablation": wrong}))
