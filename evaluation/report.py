"""The report of a run: Markdown, one self-contained HTML page, and everything beside them in the run's folder."""

from __future__ import annotations

import base64
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jinja2

from evaluation.content import Content, build_content
from evaluation.plots import save_plots
from evaluation.report_tables import Table
from evaluation.results import Results
from evaluation.summary import summarise, write_summary

TEMPLATE = Path(__file__).with_name("report.html.j2")


def render_html(results: Results, metrics: dict[str, Any], plot_files: Mapping[str, Path]) -> str:
    """Return one page that needs no other file and no network: style inline, figures as base64, all text escaped."""
    content = build_content(results, metrics)
    images = []
    for name, path in plot_files.items():
        title, caption = content.captions[name]
        images.append({"title": title, "caption": caption, "data": base64.b64encode(path.read_bytes()).decode()})
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True)
    template = environment.from_string(TEMPLATE.read_text(encoding="utf-8"))
    return template.render(content=content, images=images)


def render_markdown(results: Results, metrics: dict[str, Any], plot_files: Mapping[str, str] | None = None) -> str:
    """Return the same as Markdown; `plot_files` are plot name -> link, relative to where the text will lie."""
    content = build_content(results, metrics)
    parts = [f"# {_escape(content.title)}", _escape(content.facts)]
    parts += [f"> **{_escape(banner)}**" for banner in content.banners]
    parts += [f"**{_escape(content.verdict)}**", _escape(content.rival)]
    for table in content.tables:
        parts += [f"## {table.title}", _escape(table.about), _markdown_table(table)]
    parts += _markdown_figures(content, plot_files or {})
    if content.notes:
        parts += ["## Notes on the data", "\n".join(f"- {_escape(note)}" for note in content.notes)]
    fence = "`" * max(3, 1 + max(map(len, re.findall("`+", content.config)), default=0))
    config = content.config.rstrip("\n")
    parts.append(
        f"<details><summary>Configuration</summary>\n\n{fence}yaml\n{config}\n{fence}\n\n</details>",
    )
    return "\n\n".join(part for part in parts if part) + "\n"


def _markdown_figures(content: Content, links: Mapping[str, str]) -> list[str]:
    parts = ["## Figures"] if links else []
    for name, link in links.items():
        title, caption = content.captions[name]
        parts += [f"### {title}", f"![{title}]({link})", _escape(caption)]
    return parts


def _markdown_table(table: Table) -> str:
    rule = [":--" if place in table.text_columns else "--:" for place in range(len(table.columns))]
    rows: list[list[str]] = [[_escape(column) for column in table.columns], rule]
    for row, mark in zip(table.rows, table.marks, strict=True):
        cells = [_escape(cell) for cell in row]
        rows.append([f"**{cell}**" for cell in cells] if mark == "graph" else cells)
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _escape(text: str) -> str:
    """Return `text` so that Markdown shows it as it is, on one line."""
    return re.sub(r"([\\`*_{}\[\]<>|#&$~])", r"\\\1", " ".join(text.split()))


def write_report(
    results: Results,
    folder: Path,
    *,
    plots: bool = True,
    html: bool = True,
    plot_dpi: int = 130,
    resamples: int = 1000,
    seed: int = 0,
) -> dict[str, Any]:
    """Summarise and write all of a run's results into `folder`; return the metrics.

    Writes policies.csv, per_user.csv, per_task.csv, decisions.parquet, studies/*.csv where there are studies, report.md
    and, as told, report.html and plots/*.png. The numbers come first, so that they are kept should drawing fail.
    `metrics.json` is the caller's to write (`summary.write_metrics`), after all else.
    """
    metrics = summarise(results, resamples, seed)
    write_summary(results, metrics, folder)
    files = save_plots(results, folder / "plots", plot_dpi) if plots else {}
    links = {name: Path(os.path.relpath(path, folder)).as_posix() for name, path in files.items()}
    (folder / "report.md").write_text(render_markdown(results, metrics, links), encoding="utf-8")
    if html:
        (folder / "report.html").write_text(render_html(results, metrics, files), encoding="utf-8")
    return metrics
