"""A RAG chat in a handful of files.

    question -> retriever -> sources -> prompt -> chat model -> tokens    rag/chain.py, rag/retriever.py, rag/context.py
    source -> loader -> splitter -> embeddings -> vector store            rag/ingest.py, rag/loader.py, rag/store.py

`rag.assistant.Assistant` brings both up from `rag.settings.Settings`; `app.py` is its page.
"""

__version__ = "0.1.1"
