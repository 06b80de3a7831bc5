import dataclasses
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from markdown_it import MarkdownIt

from evaluation.plots import PLOTS
from evaluation.report import render_html, render_markdown, write_report
from evaluation.summary import summarise
from graph.query_map import query_map
from tests.evaluation.fake_results import make_results

EVIL = "<script>alert('x')</script> | **bold** `tick` [a](b) & $1"
VOID = {"meta", "img", "br", "hr"}


class Page(HTMLParser):
    """Collects text, images and addresses, and checks that tags are closed in order."""

    def __init__(self):
        super().__init__()
        self.open, self.text, self.addresses, self.images, self.headings = [], [], [], 0, []

    def handle_starttag(self, tag, attrs):
        self.addresses += [value for key, value in attrs if key in ("src", "href")]
        self.images += tag == "img"
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if "style" not in self.open:
            self.text.append(data)
        if self.open and self.open[-1] == "h2":
            self.headings.append(data)


def parse(html):
    page = Page()
    page.feed(html)
    assert page.open == []
    return page


def evil_results():
    results = make_results(users=2, llms=3, queries=6, simulated=True)
    rename = {old: f"{EVIL} {i}" for i, old in enumerate(results.llms["llm_id"])}
    repeats = [
        dataclasses.replace(
            r,
            decisions=r.decisions.replace({"llm_id": rename}).assign(task_id=EVIL),
            singles=r.singles.replace({"llm_id": rename}),
        )
        for r in results.repeats
    ]
    llms, config = results.llms.replace({"llm_id": rename}), f"name: {EVIL}\n```\n</pre></details>\n"
    return dataclasses.replace(results, dataset=EVIL, llms=llms, repeats=repeats, notes=(EVIL,), config_yaml=config)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "run"
    results = make_results(users=3, llms=6, queries=12, simulated=True)
    metrics = write_report(results, folder, plot_dpi=50, resamples=50)
    return results, metrics, folder


def test_everything_is_written(run):
    _, _, folder = run
    files = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    tables = {"policies.csv", "per_user.csv", "per_task.csv", "decisions.parquet"}
    assert files == tables | {"report.md", "report.html"} | {f"plots/{name}.png" for name in PLOTS}
    assert not (folder / "metrics.json").exists()  # the caller writes it last


def test_the_query_map_is_drawn_where_there_is_one(tmp_path):
    rng = np.random.default_rng(0)
    table = query_map([f"q{i}" for i in range(12)], ["a", "b"] * 6, [0, 1, 2] * 4, rng.normal(size=(12, 5)))
    results = dataclasses.replace(make_results(users=1, queries=4), query_map=table)
    write_report(results, tmp_path, plot_dpi=50, resamples=0)
    assert (tmp_path / "plots" / "query_map.png").is_file()
    assert "plots/query_map.png" in (tmp_path / "report.md").read_text()
    page = parse((tmp_path / "report.html").read_text())
    assert page.images == len(PLOTS) + 1


def test_plots_and_html_can_be_left_out(tmp_path):
    write_report(make_results(users=1, queries=4), tmp_path, plots=False, html=False, resamples=0)
    assert not (tmp_path / "plots").exists()
    assert not (tmp_path / "report.html").exists()
    assert "## Figures" not in (tmp_path / "report.md").read_text()


def test_the_page_needs_nothing_else(run):
    page = parse((run[2] / "report.html").read_text())
    assert page.images == len(PLOTS)
    assert all(address.startswith("data:image/png;base64,") for address in page.addresses)
    html = (run[2] / "report.html").read_text()
    assert not re.search(r"https?://|@import|url\(", html)
    assert "prefers-color-scheme: dark" in html
    assert 'name="viewport"' in html


def test_both_reports_say_the_same_in_the_same_order(run):
    results, metrics, folder = run
    page = parse((folder / "report.html").read_text())
    markdown = (folder / "report.md").read_text()
    tables = ["Which LLM each user gets", "All policies", "Each task", "Each user"]
    headings = [*tables, "Figures", "Notes on the data"]
    assert page.headings == headings
    assert re.findall(r"^## (.*)$", markdown, re.M) == headings
    text = " ".join("".join(page.text).split())
    assert (
        text.index("Simulated answers") < text.index("The graph router earns") < text.index("Which LLM each user gets")
    )
    assert f"{metrics['policies']['graph']['reward']['mean']:.3f} mean reward" in text
    assert f"{metrics['policies']['graph']['reward']['mean']:.3f} mean reward" in markdown
    for note in results.notes:
        assert note in text
    assert results.config_yaml in markdown
    assert results.config_yaml.strip() in "".join(page.text)


def test_markdown_links_lead_to_the_plots(run):
    links = re.findall(r"!\[.*?\]\((.*?)\)", (run[2] / "report.md").read_text())
    assert len(links) == len(PLOTS)
    assert all((run[2] / link).is_file() for link in links)


def test_text_is_escaped_in_html():
    results = evil_results()
    html = render_html(results, summarise(results, 10), {})
    assert "<script" not in html
    assert html.count("</details>") == 1
    text = "".join(parse(html).text)
    assert EVIL in text


def test_text_is_escaped_in_markdown():
    results = evil_results()
    text = render_markdown(results, summarise(results, 10))
    html = MarkdownIt("commonmark", {"html": True}).enable("table").render(text)
    assert "<script" not in html
    assert "<a " not in html
    assert "&lt;script&gt;alert('x')&lt;/script&gt; | **bold** `tick` [a](b) &amp; $1" in html
    columns = {len(re.findall("<t[dh]", row)) for row in re.findall("<tr>.*?</tr>", html, re.S)}
    tables = len(re.findall("<table>", html))
    assert tables == 4
    assert len(columns) <= 4  # one width per table: no cell broke its row


def test_reports_without_the_router_or_costs_render():
    for size in ({"policies": ("random",)}, {"kind": "persona", "cost_kind": "none"}, {"repeats": 1}):
        results = make_results(users=2, llms=3, queries=6, **size)
        metrics = summarise(results, 0)
        assert parse(render_html(results, metrics, {})).headings
        assert "nan" not in render_markdown(results, metrics).lower().replace("finance", "")
