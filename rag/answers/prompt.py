"""The prompt: its file, and the wishes of a question about the form of its answer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from langchain_core.messages import SystemMessage
from langchain_core.prompt_values import ChatPromptValue, PromptValue
from langchain_core.prompts import ChatPromptTemplate, MessagesPlaceholder

from rag.answers.context import disarm

PROMPT_FILE = Path(__file__).parent.parent / "prompt.txt"
SMALL_PROMPT_FILE = PROMPT_FILE.with_name("prompt_small.txt")
"""For models of some hundred million parameters, which follow one short order and say too often that they do not know
where they may."""
WISHES = (
    "Whoever asks has these wishes about language, length and style. Follow them as far as they do not contradict the"
    " rules above, which come first: facts are from the notes alone.\n{instructions}"
)


def build_prompt(path: Path | None = None) -> ChatPromptTemplate:
    """The prompt from a file: what stands before a line `---` is the system's part, the rest the person's turn."""
    text = (path or PROMPT_FILE).read_text(encoding="utf-8")
    system, separator, human = text.partition("\n---\n")
    if not separator:
        system, human = "", text
    parts: list[Any] = [("system", system.strip())] if system.strip() else []
    return ChatPromptTemplate.from_messages([*parts, MessagesPlaceholder("history"), ("human", human.strip())])


def instructed(prompt: PromptValue, instructions: str) -> PromptValue:
    """The prompt with wishes about the form of the answer; the rules of the prompt itself stand above them."""
    if not instructions:
        return prompt
    messages = prompt.to_messages()
    wishes = WISHES.format(instructions=disarm(instructions))
    if messages and messages[0].type == "system":
        return ChatPromptValue(messages=[SystemMessage(f"{messages[0].text}\n\n{wishes}"), *messages[1:]])
    return ChatPromptValue(messages=[SystemMessage(wishes), *messages])
