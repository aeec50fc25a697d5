"""The chat on the page, which goes on wherever the next question lands: the browser has the conversation, no replica.

Gradio keeps in the process what was said and which saved conversation that is. Where a replica is gone, the next one
knows nothing of it; so it is read from what the browser shows. Where an answer was under way, Gradio loads the page
again, and the conversation is opened where it was, with the question that was not answered.
"""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from inspect import isawaitable
from typing import Any

import gradio as gr

from rag.conversation import plain
from rag.sidebar import QUIET

KEY = "local-rag-chat-open"
REMEMBER = f"""
window.addEventListener('pagehide', () => {{
  const asked = [...document.querySelectorAll('#conversation [data-testid="user"]')].map((one) => one.innerText);
  if (asked.length) sessionStorage.setItem('{KEY}', JSON.stringify(asked));
}});
"""
"""What was asked in the conversation on the page, kept in the tab while the page is loaded again."""
RECALL = f"""
(_, saved) => {{
  const asked = sessionStorage.getItem('{KEY}') || '';
  sessionStorage.removeItem('{KEY}');
  return [asked, saved];
}}
"""
LOST = "The connection to the app was lost while it answered. Press Retry below, or ask something else."


class Chat(gr.ChatInterface):
    """Gradio's chat on the conversation that the browser shows, whichever replica gave the answers in it."""

    def read_from_browser(self, page: gr.Blocks) -> None:
        """Let the listeners that begin with what was said take it from the page; and open it when that is loaded."""
        for function in page.fns.values():
            if function.name in ("_submit_fn", "_pop_last_user_message") and function.inputs[:1] != [self.textbox]:
                function.inputs = [self.chatbot if each is self.chatbot_state else each for each in function.inputs]
            if function.outputs == [self.textbox] and function.name == "<lambda>":
                function.fn = _hinting(function.fn, self.textbox.placeholder)
        asked = gr.Textbox(visible="hidden")
        page.load(
            reopen,
            [asked, self.saved_conversations],
            [self.conversation_id, self.chatbot, self.chatbot_state],
            js=RECALL,
            **QUIET,
        )

    def _clear_and_save_textbox(self, message: Any) -> Any:
        return gr.Textbox("", interactive=False), message

    async def _stream_fn(self, message: Any, history: list[Any], *args: Any) -> AsyncGenerator[Any, None]:
        """`history` ends with the question itself, which the page shows already."""
        async for answer in super()._stream_fn(message, history[:-1], *args):
            yield answer

    def _save_conversation(self, index: int | None, conversation: list[Any], saved_conversations: list[Any]) -> Any:
        """Into its own place, also where this process does not know which that is."""
        if index is None:
            told = said(conversation)
            places = [place for place, each in enumerate(saved_conversations or []) if each]
            index = next((place for place in places if _begins(told, said(saved_conversations[place]))), None)
        return super()._save_conversation(index, conversation, saved_conversations)


def _hinting(change: Any, hint: Any) -> Callable[[], Awaitable[Any]]:
    """What Gradio does to the box for questions, with the hint in it that Gradio takes away for good."""

    async def hinting() -> Any:
        told = change()
        told = await told if isawaitable(told) else told
        return {**told, "placeholder": hint} if isinstance(told, dict) else told

    return hinting


def reopen(asked: str, saved: list[list[dict[str, Any]]] | None) -> Any:
    """The conversation with these questions (a JSON list), as it was saved; what is not in it was not answered.

    Returns its place among the saved ones and its messages, twice; nothing if it is not there.
    """
    try:
        questions = [_bare(str(each)) for each in json.loads(asked or "[]")]
    except ValueError:
        questions = []
    known = [[_bare(text) for role, text, _ in said(each or []) if role == "user"] for each in saved or []]
    if questions and questions in known:
        place = known.index(questions)
        return place, (saved or [])[place], (saved or [])[place]
    if not questions or (questions[:-1] and questions[:-1] not in known):
        return gr.skip(), gr.skip(), gr.skip()
    index = known.index(questions[:-1]) if questions[:-1] else None
    told = plain(LOST)
    note = {"title": f"⚠ Not answered: {told}", "status": "done"}
    messages = [
        *((saved or [])[index] if index is not None else ()),
        {"role": "user", "content": str(json.loads(asked)[-1])},
        {"role": "assistant", "content": told, "metadata": note},
    ]
    return index, messages, messages


def said(messages: Sequence[dict[str, Any]]) -> list[tuple[str, str, str]]:
    """Role, text and title of each message, in whichever form Gradio has it."""
    told = []
    for message in messages:
        content = message.get("content")
        parts = content if isinstance(content, list) else [content]
        text = "".join(part if isinstance(part, str) else str(part.get("text", "")) for part in parts if part)
        told.append((str(message.get("role")), text, str((message.get("metadata") or {}).get("title") or "")))
    return told


def _begins(told: Sequence[Any], earlier: Sequence[Any]) -> bool:
    return bool(earlier) and list(told[: len(earlier)]) == list(earlier)


def _bare(text: str) -> str:
    """The letters and digits of a text, which are the same on the page and in what was typed."""
    return "".join(each for each in text if each.isalnum())
