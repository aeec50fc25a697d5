"""The command line: `python -m rag --help`."""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import os
import sys
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from tqdm import tqdm

from rag.assistant import Assistant
from rag.doors import cli as commands
from rag.doors.ask import ask
from rag.doors.doctor import doctor
from rag.doors.evaluate import as_json, evaluate, load_questions, report, settings_of, table
from rag.doors.handle import open_library
from rag.doors.http import failure_of
from rag.errors import RagError
from rag.library.library import find_named
from rag.settings import Settings, load_settings
from rag.sources.formats import READABLE
from rag.sources.loader import is_url

EPILOG = """\
exit codes: 0 done; 1 failed, with a line that says why; 2 a wrong command line; 130 after Ctrl-C
what a command takes, with examples: python -m rag COMMAND --help

Settings come from the environment (RAG_NAME) and a file .env, as for the app; flags come first."""


def build_parser() -> argparse.ArgumentParser:
    """The commands and their flags."""
    parser = argparse.ArgumentParser(
        prog="python -m rag",
        description="Ask your pages and files from the terminal. While the app runs, commands hand their work to it.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def command(name: str, text: str, *examples: str) -> argparse.ArgumentParser:
        made = commands.add_parser(
            name,
            help=text,
            description=f"{text[0].upper()}{text[1:]}.",
            epilog="\n".join(["examples:", *(f"  python -m rag {name}{example}" for example in examples)]),
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        made.add_argument(
            "--data-dir",
            metavar="FOLDER",
            help="where the library is kept (RAG_DATA_DIR, else the user's data folder)",
        )
        made.add_argument(
            "--embeddings",
            metavar="PROVIDER:MODEL",
            help="such as ollama:mxbai-embed-large or embedded:multilingual-e5-small (RAG_EMBEDDINGS)",
        )
        return made

    _add_source_commands(command)
    _add_other_commands(command)
    return parser


def _add_source_commands(command: Callable[..., argparse.ArgumentParser]) -> None:
    """What goes into the library and out of it; `command` takes a name, a text and examples."""
    ingest = command(
        "ingest",
        "add pages, files and folders; what is there already and unchanged costs nothing",
        " notes/ paper.pdf https://example.com/post",
        " https://example.com/docs/ --depth 2 --limit 200",
        " https://example.com/sitemap.xml --depth 0",
    )
    ingest.add_argument("names", nargs="+", metavar="SOURCE", help=f"URL, file or folder: {READABLE}")
    ingest.add_argument(
        "--depth",
        type=int,
        default=-1,
        help="also follow links within the site in so many steps (0: only a sitemap's); robots.txt is obeyed",
    )
    ingest.add_argument("--limit", type=int, default=100, help="pages of a site, at most (100)")
    listing = command("sources", "list what the library holds, and what failed", "", " --json")
    listing.add_argument("--json", action="store_true", help="print a JSON list")
    refresh = command(
        "refresh",
        "ask whether sources have changed, all of them if none is named; only what changed is embedded",
        "",
        " paper.pdf https://example.com/post",
    )
    refresh.add_argument("names", nargs="*", metavar="SOURCE", help="as listed, or what it ends with; or a folder")
    removal = command("remove", "forget sources: no answer is drawn from them any more", " paper.pdf")
    removal.add_argument("names", nargs="+", metavar="SOURCE", help="as listed, or what it ends with; or a folder")


def _add_other_commands(command: Callable[..., argparse.ArgumentParser]) -> None:
    """Questions, indexes, backups, and other programs."""
    ask = command(
        "ask",
        "answer a question, streaming, with its sources at the end",
        ' "What is task decomposition?"',
        ' "What does it cost?" --only paper.pdf --json',
    )
    ask.add_argument("question")
    ask.add_argument(
        "--json", action="store_true", help="print one JSON object in place of text: answer, sources, timings"
    )
    ask.add_argument(
        "--only",
        action="append",
        default=[],
        metavar="SOURCE",
        help="answer from this source alone, as listed, or what it ends with; may be repeated",
    )
    reindex = command(
        "reindex",
        "move the library to another embedding model, or to chunks of another size",
        " --embeddings ollama:mxbai-embed-large",
    )
    reindex.add_argument("--yes", action="store_true", help="do not ask, only say what it costs")
    saving = command("backup", "write the library to one file, also while the app runs", " library.zip")
    saving.add_argument("file", type=Path, metavar="FILE", help="a new file")
    restoring = command("restore", "bring back the sources of a backup; what is there besides stays", " library.zip")
    restoring.add_argument("file", type=Path, metavar="FILE", help="as `backup` wrote it")
    command("feedback", "print the thumbs under answers, one JSON object a line", "")
    command("cases", "print the cases made of answers gone wrong, as `eval` reads them", " > cases.jsonl")
    mcp = command("mcp", "serve the library to other assistants over MCP (standard input and output)", "")
    evaluation = command(
        "eval", "ask questions with known passages, and say how often they are found", " questions.jsonl"
    )
    evaluation.add_argument(
        "file",
        type=Path,
        metavar="FILE.jsonl",
        help="one JSON object a line: question, gold, kind, history, answer_contains",
    )
    evaluation.add_argument(
        "--against", action="append", default=[], metavar="RAG_NAME=VALUE", help="compare with this setting; repeatable"
    )
    evaluation.add_argument(
        "--retrieval-only",
        action="store_true",
        help="ask no chat model; how often passages are found is told all the same",
    )
    evaluation.add_argument("--json", action="store_true", help="print one JSON object in place of a table")
    doctor = command("doctor", "check models, weights, index and disk, and say what to do", "")
    for made in (ask, mcp, evaluation):
        made.add_argument("--source", action="append", dest="sources", metavar="URL_OR_PATH", help="load this first")
    for made in (ask, mcp, doctor, evaluation):
        made.add_argument("--model", metavar="PROVIDER:MODEL", help="chat model, such as ollama:llama3")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command. Returns the exit code: 0, 1 where it failed with a line that says why, 130 after Ctrl-C."""
    given = vars(build_parser().parse_args(arguments))
    name = given.pop("command")
    own: dict[str, Any] = {
        key: given.pop(key)
        for key in ("question", "json", "names", "depth", "limit", "only", "yes", "file", "against", "retrieval_only")
        if key in given
    }
    as_json = own.get("json", False)
    logging.basicConfig(level=logging.ERROR, format="%(message)s", stream=sys.stderr)
    try:
        settings = load_settings(**given)
        if name == "mcp":
            return _serve_mcp(settings)
        if name == "ask":
            return asyncio.run(ask(settings, own["question"], own["only"], as_json))
        if name == "eval":
            return _evaluate(settings, given, own)
        if name == "doctor":
            return doctor(settings)
        if name == "feedback":
            return commands.show_feedback(settings)
        if name == "cases":
            return commands.show_cases(settings)
        if name == "backup":
            return commands.backup(settings, own["file"].expanduser().absolute())
        return _on_library(name, settings, own)
    except RagError as error:
        print(json.dumps(failure_of(error), ensure_ascii=False) if as_json else error, file=sys.stderr)
        return 1
    except BrokenPipeError:  # whoever read the output, such as `head`, has enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or Python complains at its end
        return 1
    except KeyboardInterrupt:
        return 130


def _on_library(name: str, settings: Settings, own: dict[str, Any]) -> int:
    with closing(open_library(settings, whole=name != "reindex")) as handle:
        if name == "sources":
            return commands.show_sources(handle, own["json"])
        if name == "reindex":
            return commands.reindex(handle, settings, own["yes"])
        if name == "remove":
            return commands.remove(handle, [_absolute(item) for item in own["names"]])
        if name == "restore":
            return commands.follow(handle, lambda: handle.restore(own["file"].expanduser().absolute()))
        names = [_absolute(item) for item in own["names"]]
        if name == "refresh":
            known = [entry["source"] for entry in handle.look()["sources"]] if names else []
            meant = find_named(names, known) or None
            return commands.follow(handle, lambda: handle.refresh(meant))
        return commands.follow(handle, lambda: handle.add(names, own["depth"], own["limit"]))


def _absolute(source: str) -> str:
    """A path as seen from here: the app that is handed the work may run in another folder."""
    path = os.path.abspath(os.path.expanduser(source))  # unlike pathlib's, these take any name
    return path if not is_url(source) and os.path.exists(path) else source


def _evaluate(settings: Settings, given: dict[str, Any], own: dict[str, Any]) -> int:
    """Print the figures of these settings, and beside them those of the settings compared with."""
    questions, answers = load_questions(own["file"]), not own["retrieval_only"]
    compared = [settings]
    if own["against"]:
        compared.append(load_settings(**given | settings_of(own["against"])))
    reports = []
    for each in compared:
        with tqdm(total=len(questions), unit=" questions", leave=False, disable=not sys.stderr.isatty()) as bar:
            outcomes = asyncio.run(evaluate(each, questions, answers=answers, progress=bar.update))
        reports.append(report(outcomes))
    if own["json"]:
        print(as_json(reports))
        return 0
    if own["against"]:
        print(f"these settings / {' '.join(own['against'])}")
    print(table(reports, answers=answers))
    return 0


def _serve_mcp(settings: Settings) -> int:
    from rag.doors.mcp import build_mcp_server

    assistant = Assistant(settings)
    server = build_mcp_server(assistant)
    assistant.start()
    try:
        server.run("stdio")
        return 0
    finally:
        assistant.close()


if __name__ == "__main__":
    sys.exit(main())
