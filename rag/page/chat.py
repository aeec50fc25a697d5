"""Parts of the chat: the conversation, the question box and its examples, saving, and Stop."""

from __future__ import annotations

import gradio as gr

from rag.answers.question import LONGEST_QUESTION
from rag.page.events import QUIET
from rag.page.export import conversation_as_markdown
from rag.page.scripts import MARK_LATE, MARK_STOPPED, OPEN_QUOTE, PAGE, SAVE_CONVERSATION, SETTLE
from rag.settings import DEFAULT_SOURCE, Settings

EXAMPLES = [
    "What is task decomposition?",
    "What types of memory can an agent have?",
    "How does an agent use tools?",
    "What are the limits of LLM agents?",
]
FORMULAS: list[dict[str, str | bool]] = [
    {"left": "$$", "right": "$$", "display": True},
    {"left": "\\[", "right": "\\]", "display": True},
    {"left": "\\(", "right": "\\)", "display": False},
]
"""What stands around a formula. Single dollars are not among them, since most are prices: see `answer_text`."""
REASONS = ("Wrong", "Incomplete", "Wrong passage", "My sources do say it", "Off the question")
"""What may be amiss with an answer, in a menu beside the thumbs."""
QUESTION_HINT = "Ask a question …"
VIEWS = (
    f'<div role="tablist" aria-label="View" data-hint="{QUESTION_HINT}">'
    '<button role="tab" data-view="chat" aria-selected="true">Chat</button>'
    '<button role="tab" data-view="library" aria-selected="false">Library</button></div>'
)


def build_views() -> gr.HTML:
    """The tabs of a narrow screen, and the page's script."""
    return gr.HTML(VIEWS, elem_id="views", js_on_load=PAGE + OPEN_QUOTE, padding=False)


def build_chatbot(settings: Settings) -> gr.Chatbot:
    """The conversation, empty."""
    return gr.Chatbot(
        label="Conversation",
        show_label=False,
        elem_id="conversation",
        scale=1,
        placeholder=f"### Ask about your pages and files\n{describe_library(settings)}",
        buttons=["copy", "copy_all"],
        feedback_options=("Like", "Dislike", *REASONS),
        feedback_value=None,
        layout="bubble",
        latex_delimiters=FORMULAS,
    )


def build_question_box() -> gr.Textbox:
    """The box that a question is typed into."""
    return gr.Textbox(
        placeholder=QUESTION_HINT,
        show_label=False,
        label="Question",
        max_length=LONGEST_QUESTION,
        autofocus=True,
        submit_btn=True,
        stop_btn=True,
        scale=7,
    )


def build_examples(settings: Settings) -> list[list[str]] | None:
    """Questions to click on; None unless the article that they ask about is a source."""
    return [[question] for question in EXAMPLES] if DEFAULT_SOURCE in settings.sources else None


def describe_library(settings: Settings) -> str:
    """What to expect of answers, and what there is to ask about from the start."""
    told = "Answers come from the library, each with the words that support it."
    begin = "<span class='begin'>To begin with, that is an article on LLM agents.</span>"
    return f"{told} {begin}" if DEFAULT_SOURCE in settings.sources else told


def connect_save(button: gr.Button, chat: gr.ChatInterface) -> None:
    """Let the button save the conversation as a Markdown file."""
    written = gr.Textbox(visible="hidden")
    button.click(lambda history: conversation_as_markdown(history), chat.chatbot, written, **QUIET).then(
        None, written, None, js=SAVE_CONVERSATION, **QUIET
    )


def connect_stop(chat: gr.ChatInterface) -> None:
    """Mark an answer that Stop has ended."""
    chatbot = chat.chatbot
    chat.textbox.stop(None, chatbot, chatbot, js=MARK_STOPPED, **QUIET).then(None, None, None, js=SETTLE, **QUIET).then(
        None, chatbot, chatbot, js=MARK_LATE, **QUIET
    )
