"""The page in Gradio: a prompt, who asks, a slider from 0 to 1, and a decision that follows as you type."""

from __future__ import annotations

import itertools
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from configs.errors import InputError
from serving import page
from serving.chooser import OWN_WISH
from serving.desk import Desk

if TYPE_CHECKING:
    import gradio

TITLE = "Which LLM should answer?"
LEAD = "Type a question. The router picks the LLM that suits it."
TAKE_WISH = "(picked, who, slider) => picked?.[0] === who && picked[1] !== null ? picked[1] : slider"
TAKE_ANSWER = r"(arrived, prompt) => arrived?.[0] === prompt.replace(/\p{Surrogate}/gu, '?') ? arrived[1] : ''"


def build_page(desk: Desk) -> gradio.Blocks:
    """Return the page for whoever chooses."""
    gr = _gradio()
    chooser, scale = desk.chooser, desk.chooser.slider
    people = chooser.people()
    with gr.Blocks(title=TITLE, analytics_enabled=False) as blocks:
        gr.HTML(page.heading(chooser.simulated, chooser.lead))
        with gr.Row(equal_height=False):
            with gr.Column(min_width=280, scale=4):
                prompt = gr.Textbox(
                    label="Question",
                    info="Enter sends, Shift-Enter begins a new line.",
                    lines=5,
                    max_lines=14,
                    elem_id="prompt",
                    autofocus=True,
                )
                who = gr.Dropdown(people, value=people[0][1], label="Who asks", elem_id="who", visible=len(people) > 1)
                slider = gr.Slider(
                    0,
                    1,
                    value=scale.start,
                    step=scale.step,
                    label=scale.label,
                    info=scale.info,
                    elem_id="wish",
                    buttons=[],
                )
                with gr.Row():
                    ask = "Decide" if desk.answerer is None else "Decide and ask"
                    send = gr.Button(ask, variant="primary", elem_id="send", min_width=120)
                    example = gr.Button("Try an example", elem_id="example", min_width=120)
            with gr.Column(min_width=280, scale=6):
                answer = gr.HTML(elem_id="answer")
                result = gr.HTML(page.invitation(), elem_id="result")
                spoken = gr.HTML(elem_id="spoken")
        _wire(gr, desk, prompt, who, slider, send, example, answer, result, spoken)
    return blocks


def _wire(
    gr: Any,
    desk: Desk,
    prompt: Any,
    who: Any,
    slider: Any,
    send: Any,
    example: Any,
    answer: Any,
    result: Any,
    spoken: Any,
) -> None:
    """Say what happens when. Without the queue a decision is one request; of many keystrokes only the last waits.

    One listener decides whatever was touched: with one each, the late reply to a keystroke could replace the decision
    of a slider moved since.
    """
    inputs, outputs = [prompt, who, slider], [result, spoken]
    quick: dict[str, Any] = {"queue": False, "show_progress": "hidden", "api_visibility": "private"}
    examples = itertools.cycle(desk.chooser.examples())
    # What a reply is about comes back with it: it counts only if that still stands on the page.
    picked, arrived = gr.JSON(visible=False), gr.JSON(visible=False)

    def sent(text: str, person: str, value: float) -> tuple[list[str], str, str]:
        return desk.waiting(text), *desk.shown(text, person, value, sent=True)

    # `change`, not `input`: that one misses what is pasted, and what the two lines below set.
    touched = [prompt.change, who.change, slider.change]
    gr.on(touched, desk.shown, inputs, outputs, trigger_mode="always_last", **quick)
    slider.input(None, None, who, js=f"() => {json.dumps(OWN_WISH)}", **quick)
    # `change`, not `input`, which comes whenever the picker is left, nor `select`, which misses keys.
    change = who.change(desk.wished, who, picked, **quick)
    change.then(None, [picked, who, slider], slider, js=TAKE_WISH, **quick)
    example.click(lambda: next(examples), None, prompt, **quick)
    decided = send.click(sent, inputs, [arrived, *outputs], **quick)
    answers = {"inputs": [arrived, prompt], "outputs": answer, "js": TAKE_ANSWER, **quick}
    decided.then(None, **answers)
    # An answer to another question than the one that stands there would mislead.
    prompt.change(None, **answers)
    if desk.answerer is not None:
        asked = decided.then(desk.reply, inputs, arrived, show_progress="hidden", api_visibility="private")
        asked.then(None, **answers)


def build_help(message: str, folder: Path, below: Path | None = None) -> gradio.Blocks:
    """Return the page for when there is no router: how to make one, or that it lies in `below`."""
    gr = _gradio()
    with gr.Blocks(title=TITLE, analytics_enabled=False) as blocks:
        gr.HTML(page.heading(False, LEAD))
        gr.HTML(page.no_router(message, folder, below))
    return blocks


def open_page(blocks: gradio.Blocks, host: str, port: int) -> str:
    """Serve a page in the background and return its address; `InputError` where the port is taken."""
    gr = _gradio()
    try:
        _, address, _ = blocks.launch(
            server_name=host,
            server_port=port,
            share=False,
            inbrowser=False,
            quiet=True,
            prevent_thread_lock=True,
            ssr_mode=False,
            mcp_server=False,
            enable_monitoring=False,
            run_history=False,
            footer_links=[],
            theme=gr.themes.Base(
                primary_hue="teal",
                font=["system-ui", "-apple-system", "Segoe UI", "Roboto", "sans-serif"],
                font_mono=["ui-monospace", "Consolas", "monospace"],
            ),
            css=page.style(),
            head=page.script(),
        )
    except OSError as err:
        raise InputError(
            f"--port: expected a free port at {host}, got {port}, which is taken or not allowed; choose another, or 0"
        ) from err
    return address


def _gradio() -> Any:
    """Import Gradio, which takes seconds, with everything off that would tell others of its use."""
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
    try:
        import gradio
    except ModuleNotFoundError as err:
        raise InputError(
            f"the page: expected the package {err.name}, found none; pip install -r requirements-serving.txt"
        ) from err
    return gradio
