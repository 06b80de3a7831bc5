"""The page in Gradio: a prompt, who asks, a slider from cost to quality, and a decision that follows as you type."""

from __future__ import annotations

import dataclasses
import itertools
import json
import os
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

from configs.errors import InputError
from graph.router import Router
from serving import page
from serving.answer import Answerer
from serving.decide import NOBODY, View, decide

if TYPE_CHECKING:
    import gradio

EVERYBODY, OWN_WISH, USER = "everybody", "own", "user:"  # what the picker holds; users with their id
STEP, DECIMALS = 0.01, 2  # of the slider
WARMING = ("How much is 17 * 3?", "word " * 2000)  # a short and a long prompt, so that no reader waits for either


@dataclasses.dataclass(frozen=True)
class Desk:
    """What the page asks for: decisions of a router and, where there is an `answerer`, answers."""

    router: Router
    answerer: Answerer | None = None
    # Tokenizers may not be used by two threads at once.
    lock: threading.Lock = dataclasses.field(default_factory=threading.Lock)

    def warm(self) -> None:
        """Load what the first decision would have to wait for."""
        for prompt in WARMING:
            self.view(prompt, EVERYBODY, 0.5)

    def people(self) -> list[tuple[str, str]]:
        """Return (label, value) of everyone who can be picked."""
        users = [(user, USER + user) for user in self.router.user_ids]
        return [("Nobody in particular", EVERYBODY), ("My own wish: the slider", OWN_WISH), *users]

    def examples(self) -> list[str]:
        """Return a short known question of each task."""
        queries = self.router.queries
        order = queries["query"].str.len().sort_values(kind="stable").index
        return [str(text) for text in queries.loc[order].drop_duplicates("task_id")["query"]]

    def wish(self, who: str) -> float | None:
        """Return the preference that the router knows or infers of who asks, for the slider; None for a taste."""
        preference = self.router.wish(_user(who)).preference
        return None if preference is None else round(preference, DECIMALS)

    def view(self, prompt: str, who: str, slider: float) -> View:
        """Return what to show; the slider counts only for one's own wish."""
        with self.lock:
            return decide(self.router, prompt, _user(who), slider if who == OWN_WISH else None)

    def shown(self, prompt: str | None, who: str, slider: float, sent: bool = False) -> tuple[str, str]:
        """Return (decision as HTML, the same in a spoken line); `sent`: the reader asked for it."""
        if not (prompt or "").strip():
            return page.invitation(sent), ""
        try:
            view = self.view(prompt or "", who, slider)
        except InputError as err:
            return page.trouble(str(err)), str(err)
        return page.decision(view), page.spoken(view)

    async def answered(self, prompt: str | None, who: str, slider: float) -> str:
        """Return the answer of the LLM that is chosen, as HTML; nothing for an empty prompt."""
        if self.answerer is None or not prompt or not prompt.strip():
            return ""
        try:
            found = await self.answerer.ask(self.view(prompt, who, slider).llm_id, prompt)
        except InputError as err:
            return page.trouble(str(err))
        return page.answer(prompt, found)


def _user(who: str) -> str:
    return who.removeprefix(USER) if who.startswith(USER) else NOBODY


def build_page(desk: Desk) -> gradio.Blocks:
    """Return the page for a router."""
    gr = _gradio()
    wish = desk.wish(EVERYBODY)
    with gr.Blocks(title="Which LLM should answer?", analytics_enabled=False) as blocks:
        gr.HTML(page.heading(bool(desk.router.about.get("simulated"))))
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
                who = gr.Dropdown(desk.people(), value=EVERYBODY, label="Who asks", elem_id="who")
                slider = gr.Slider(
                    0,
                    1,
                    value=0.5 if wish is None else wish,
                    step=STEP,
                    label="Cost or quality",
                    info="0: only the cost counts. 1: only the quality. Moving it states a wish of your own.",
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
    examples = itertools.cycle(desk.examples())

    def wished(person: str, value: float) -> float:
        wish = None if person == OWN_WISH else desk.wish(person)
        return value if wish is None else wish

    def sent(text: str, person: str, value: float) -> tuple[str, str, str]:
        return "", *desk.shown(text, person, value, sent=True)

    # `change`, not `input`: that one misses what is pasted, and what the two lines below set.
    touched = [prompt.change, who.change, slider.change]
    gr.on(touched, desk.shown, inputs, outputs, trigger_mode="always_last", **quick)
    slider.input(None, None, who, js=f"() => {json.dumps(OWN_WISH)}", **quick)
    who.input(wished, [who, slider], slider, **quick)
    example.click(lambda: next(examples), None, prompt, **quick)
    decided = send.click(sent, inputs, [answer, *outputs], **quick)
    if desk.answerer is not None:
        decided.then(desk.answered, inputs, answer, show_progress="minimal", api_visibility="private")


def build_help(message: str, folder: Path) -> gradio.Blocks:
    """Return the page for when there is no router: how to make one."""
    gr = _gradio()
    with gr.Blocks(title="Which LLM should answer?", analytics_enabled=False) as blocks:
        gr.HTML(page.heading(simulated=False))
        gr.HTML(page.no_router(message, folder))
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
