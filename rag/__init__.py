"""A RAG chat in a handful of rooms; each imports downwards only.

    page, doors             what is seen, and the other ways to ask
    assistant, background   bring everything up and say how it is
    reader                  a source beside the chat
    answers, library        a question becomes an answer; documents become an index
    sources, models, grounding
    text, child, errors, settings

README.md follows a question and a source through them.
"""

__version__ = "0.6.0"
