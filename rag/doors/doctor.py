"""`python -m rag doctor`: check what the app needs, and say what to do."""

from __future__ import annotations

import shutil
from collections.abc import Callable

from rag.background import CHOICE
from rag.errors import PULL_SIZES, RagError, StoreLocked
from rag.library.chroma import ChromaHome, connect
from rag.library.database import open_database
from rag.library.folder import DataFolder
from rag.library.uploads import LEAST_FREE_DISK
from rag.models.auto import EMBEDDED_DEFAULTS
from rag.models.choose import choose_models
from rag.models.e5 import E5_NAME
from rag.models.model_files import CHAT_WEIGHTS, is_here, model_path
from rag.models.ollama import Ollama
from rag.models.speed import known_speeds
from rag.models.weights import E5, MINILM, MINILM_TOKENIZER, Weights, is_whole
from rag.settings import NO_MODEL, Settings


def doctor(settings: Settings) -> int:
    """Check what the app needs, and say what to do. Returns 1 where it would not answer."""
    well = True

    def tell(good: bool, what: str, advice: str = "") -> None:
        nonlocal well
        well &= good
        print(f"{'ok' if good else '!!'}  {what}{'' if good or not advice else f'  -> {advice}'}")

    names = choose_models(settings)
    ollama, wanted = Ollama(settings), names.on_ollama()
    if ollama.answers():
        tell(True, f"Ollama answers at {settings.ollama_host}")
        for model in wanted:
            size = PULL_SIZES.get(model.partition(":")[0], "its size")
            missing = bool(ollama.missing([model]))
            tell(not missing, f"model {model} in Ollama", f"ollama pull {model} ({size})")
            for name, use in ((names.chat, "chat"), (names.embeddings, "embeddings")):
                if not missing and name == f"ollama:{model}":
                    _tell_use(ollama, model, use, tell)
    elif wanted:
        tell(False, f"Ollama at {settings.ollama_host} does not answer", "ollama serve, or set OLLAMA_HOST")
    else:
        print(f"--  Ollama at {settings.ollama_host} does not answer; the embedded models do the work")
    why = (
        "named by RAG_MODEL"
        if settings.model != "auto"
        else "of Ollama's"
        if names.chat.startswith("ollama:")
        else "as Ollama has none"
    )
    print(f"--  chat model {names.chat} ({why}), embeddings {names.embeddings}")
    for note in (*names.why, *names.notes):
        print(f"--  {note}")
    if names.chat.startswith("embedded:"):
        _tell_chat_model(names.chat, settings)
    weights: dict[str, list[Weights]] = {EMBEDDED_DEFAULTS[1]: [MINILM, MINILM_TOKENIZER], E5_NAME: [E5]}
    for item in weights.get(names.embeddings, ()):
        here = is_whole(settings.cache_dir / item.file, item)
        print(f"{'ok' if here else '--'}  weights {item.file}{'' if here else ' are fetched at the first start'}")
    try:
        _check_library(settings, tell)
    except StoreLocked as error:
        print(f"--  the app is running at {error.url or 'an address not known yet'}")
    except RagError as error:
        tell(False, str(error))
    print("All is well." if well else "Something is to be done.")
    return 0 if well else 1


def _tell_use(ollama: Ollama, model: str, use: str, tell: Callable[..., None]) -> None:
    """Print why a model cannot do what it is to be used for."""
    try:
        ollama.check_use(model, use)
    except RagError as error:
        tell(False, str(error))


def _tell_chat_model(name: str, settings: Settings) -> None:
    """Print where the file of an embedded chat model is, and how fast the model was here."""
    model = name.partition(":")[2]
    path = model_path(model, settings.cache_dir)
    if not is_here(model, settings.cache_dir):
        size = f" ({CHAT_WEIGHTS[model].size / 1e6:.0f} MB)" if model in CHAT_WEIGHTS else ""
        print(f"--  {path} is fetched once the app runs{size}; quotes from the sources answer until then")
        return
    whole = model not in CHAT_WEIGHTS or is_whole(path, CHAT_WEIGHTS[model])
    print(f"{'ok' if whole else '--'}  {path}{'' if whole else ' is damaged, and fetched again at the next start'}")
    if speed := known_speeds(settings.cache_dir).get(name):
        print(f"--  it reads {speed.read:.0f} and writes {speed.write:.0f} tokens a second on this machine")


def _check_library(settings: Settings, tell: Callable[..., None]) -> None:
    """Look at disk, database and index of a library that no app has open.

    Raises:
        RagError: one of them cannot be had.
    """
    folder = DataFolder(settings.data_dir)
    folder.acquire()
    try:
        free = shutil.disk_usage(settings.data_dir).free
        space = f"{free >> 20} MiB free on the disk of {settings.data_dir}"
        tell(free >= LEAST_FREE_DISK, space, "free some space")
        database = open_database(settings.data_dir, settings.database_url)
        try:
            tell(True, f"database {database.where}")
            choice = database.setting(CHOICE) or {}
            if choice and choice["chosen"] != choice["configured"]:
                chosen = "quotes alone" if choice["chosen"] == NO_MODEL else choice["chosen"]
                print(f"--  chosen on the page: {chosen}, in place of {choice['configured']}")
            if settings.chroma_url:
                connect(settings)
                tell(True, f"the Chroma server at {settings.chroma_url} answers")
            else:
                with database.read() as connection:
                    number = database.number(connection)
                wrong = ChromaHome(settings).wrong(number, str(database.setting("library")))
                tell(not wrong, f"index: {wrong or 'whole'}", "start the app: it is filled again from the database")
        finally:
            database.close()
    finally:
        folder.release()
