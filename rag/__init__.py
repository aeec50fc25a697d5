"""A RAG chat in a handful of rooms; each imports downwards only.

    page, doors          what is seen, and the other ways to ask
    assistant            brings everything up and says how it is
    answers, library     a question becomes an answer; documents become an index
    sources, models, grounding
    text, child, errors, settings

A question: app.py -> answers/stream.py -> answers/chain.py -> answers/retriever.py and the chat model.
A source: library/work.py -> sources/loader.py -> library/ingest.py -> library/index.py.
"""

__version__ = "0.6.0"
