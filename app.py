"""The page: a Gradio chat over the chain. Run it: `python app.py`, then open the address it prints."""

from __future__ import annotations

import argparse
import gc
import hashlib
import html
import logging
import os
import secrets
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing, suppress
from pathlib import Path
from typing import Any

os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")  # nothing of this app leaves the machine unasked

import gradio as gr
import gradio.components.api_component  # it parses its source on import, which Python 3.11 cannot do beside threads
from fastapi.exceptions import RequestValidationError
from gradio.flagging import ChatCSVLogger
from starlette.middleware import Middleware
from tqdm import tqdm

from rag.answers.update import Update
from rag.assistant import Assistant
from rag.doors.bodies import answer_fields
from rag.doors.guard import LARGEST_BODY, LOCAL_NAMES, Guard
from rag.doors.http import reply_to_invalid
from rag.doors.library import REFUSED, build_library_routes
from rag.doors.library import may_change as is_owner
from rag.doors.mcp import build_mcp_routes
from rag.doors.openai import build_openai_routes
from rag.doors.predict import build_predict_routes
from rag.doors.state import build_state_routes
from rag.doors.websocket import build_socket_routes
from rag.errors import RagError
from rag.library.work import counted
from rag.observe import Observed, check_tracing, request_id, set_up_logs
from rag.page.conversation import OPEN_QUOTE, as_messages, show_answer, show_failure
from rag.page.export import conversation_as_markdown
from rag.page.library import short
from rag.page.sidebar import QUIET, Sidebar
from rag.settings import DEFAULT_SOURCE, Settings, load_settings

TITLE = "Local RAG chat"
HERE = Path(__file__).resolve().parent
ASSETS = HERE / "rag" / "assets"
EXAMPLES = [
    "What is task decomposition?",
    "What types of memory can an agent have?",
    "How does an agent use tools?",
    "What are the limits of LLM agents?",
]
MOST_FILES = 65_536
MOST_EVENTS = 1000
"""Events of the page, those of questions among them, that Gradio holds at once; questions have a line of their own."""
MOST_SESSIONS = 300
"""Sessions whose state Gradio keeps, those used last. Each takes 0.13 MB, and a call of its API makes one; open pages
use theirs every other second, and stay. Gradio's own bound is 10,000."""
ANSWERS_SECONDS = 2.0
"""When the app ends, answers under way have this long to stop; half a second is enough, unless the machine is busy."""
LAST_WORD_SECONDS = 0.2
"""Time for Gradio to send an answer's last update to its reader, once the answer has stopped."""
DESCRIPTION = """
Ask your pages and files; a local model answers, and every answer comes with the passages it is drawn from. All routes
give the same answers.

**WebSocket `/chat`** (OpenAPI has no words for it): a text frame is a question, or JSON
`{"question", "history", "scope"}`.
Each piece of the answer is a frame `{"message": piece}`; then comes
`{"message": "", "done": true, "sources": [...], "grounding": [...], "timings": {...}, ...}`.
An error is `{"error", "code", "done": true}`, with `"cut_off": true` where a part of the answer had come, and leaves
the socket usable. Questions sent meanwhile wait their turn, four at most.

Where the app asks for credentials, give HTTP Basic or the password as a bearer token.
"""
"""What `/openapi.json` says first."""
QUESTION_HINT = "Ask a question …"
VIEWS = (
    '<div role="tablist"><button role="tab" data-view="chat">Chat</button>'
    '<button role="tab" data-view="library">Library</button></div>'
)
SHOW_VIEW = """
const show = (view) => {
  element.querySelectorAll('button').forEach((one) => one.setAttribute('aria-selected', one.dataset.view === view));
};
element.addEventListener('click', (event) => event.target.dataset.view && show(event.target.dataset.view));
show('chat');
"""
"""On a narrow screen, chat and library are two tabs; on a wide one they stand side by side."""

SAVE_FILE = """
(text) => {
  const link = document.createElement('a');
  link.href = URL.createObjectURL(new Blob([text], {type: 'text/markdown'}));
  link.download = 'conversation.md';
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}
"""

MARK_STOPPED = """
(messages) => [messages.map((message, place) => {
  const note = message.metadata;
  if (place < messages.length - 2 || note?.status !== 'pending') return message;
  return {...message, metadata: {...note, title: `Stopped · ${note.title}`, status: 'done'}};
})]
"""
"""After Stop, the note under the answer says that the answer was stopped. The browser writes that, not the server: as
soon as Stop is pressed, Gradio copies and saves what is shown."""
SETTLE = "() => new Promise((done) => setTimeout(done, 600))"
"""An update that was on its way when Stop was pressed may write over the mark: it is set again once that has come."""

log = logging.getLogger("rag.page")


class Page(gr.Blocks):
    """Blocks whose API can be called with the question alone.

    Gradio takes the defaults of `gr.api` functions from their signatures for gradio_client only. `POST
    /gradio_api/call/chat` takes a list of inputs, and Gradio refuses a list that is too short.
    """

    def validate_inputs(self, block_fn: Any, inputs: list[Any]) -> None:
        """Add None for each input that was left out, then check as Gradio does."""
        if block_fn.api_name in ("chat", "predict", "answer"):
            inputs += [None] * (len(block_fn.inputs) - len(inputs))
        super().validate_inputs(block_fn, inputs)


def build_page(assistant: Assistant, *, guarded: bool = False) -> gr.Blocks:
    """The page over an assistant. `guarded`: visitors log in, and only the user `admin` may change anything."""

    def may_change(request: gr.Request) -> bool:
        return is_owner(request.username if guarded else "local")

    def caller(request: gr.Request | None) -> str:
        return request.client.host if request and request.client else ""

    async def respond(
        message: str, history: list[dict[str, Any]], scope: list[str], model: str, request: gr.Request
    ) -> AsyncIterator[list[gr.ChatMessage]]:
        """Answer in the browser: the text as it grows, and under it what is happening and the sources."""
        update = Update()
        request_id.set(request.headers.get("x-request-id", ""))
        model = model if may_change(request) else ""
        try:
            given = {"question": message, "history": as_messages(history), "scope": scope, "model": model}
            async with aclosing(assistant.chain.astream({**given, "caller": caller(request)})) as updates:
                async for update in updates:
                    awaiting = assistant.status()["awaiting"] if update.phase == "starting" else ()
                    yield show_answer(update, message, scope, awaiting)
        except RagError as error:
            yield show_failure(update, error)

    async def chat(
        message: str,
        history: list[dict[str, Any]] | None = None,
        scope: list[str] | None = None,
        request: gr.Request | None = None,
    ) -> AsyncGenerator[str, None]:
        """Ask a question about the sources; the answer streams, each output is the text so far.

        Args:
            message: the question.
            history: earlier turns, as `{"role": "user" or "assistant", "content": text}`.
            scope: sources to answer from, as `/library` names them; all of them if there is none.
        """
        try:
            given = {"question": message, "history": as_messages(history or []), "scope": scope}
            async with aclosing(assistant.chain.astream({**given, "caller": caller(request)})) as updates:
                async for update in updates:
                    if update.new:
                        yield update.text
        except RagError as error:
            raise gr.Error(str(error), title=error.code, print_exception=False) from error

    async def predict(
        message: str,
        history: list[dict[str, Any]] | None = None,
        scope: list[str] | None = None,
        request: gr.Request | None = None,
    ) -> str:
        """Ask a question about the sources and get the whole answer at once.

        Args:
            message: the question.
            history: earlier turns, as `{"role": "user" or "assistant", "content": text}`.
            scope: sources to answer from, as `/library` names them; all of them if there is none.
        """
        async with aclosing(chat(message, history, scope, request)) as pieces:
            return [text async for text in pieces][-1]

    async def answer(
        message: str,
        history: list[dict[str, Any]] | None = None,
        scope: list[str] | None = None,
        request: gr.Request | None = None,
    ) -> dict[str, Any]:
        """Ask a question about the sources and get the whole answer with the passage that supports each sentence.

        Args:
            message: the question.
            history: earlier turns, as `{"role": "user" or "assistant", "content": text}`.
            scope: sources to answer from, as `/library` names them; all of them if there is none.
        """
        try:
            given = {"question": message, "history": as_messages(history or []), "scope": scope}
            update = await assistant.chain.ainvoke({**given, "caller": caller(request)})
        except RagError as error:
            raise gr.Error(str(error), title=error.code, print_exception=False) from error
        return {"answer": update.text, "model": assistant.models.names.chat, **answer_fields(update)}

    page: Page
    with Page(
        title=TITLE, fill_height=True, fill_width=True, analytics_enabled=False, delete_cache=(3600, 86_400)
    ) as page:
        status = gr.HTML(show_status(assistant.status()), elem_id="status", padding=False)
        with gr.Row(elem_id="actions", visible=False) as actions:
            pull = gr.Button("Pull the missing models", variant="primary", size="sm", visible=False)
            retry = gr.Button("Try again", size="sm", visible=False)
        gr.HTML(VIEWS, elem_id="views", js_on_load=SHOW_VIEW + OPEN_QUOTE, padding=False)
        with gr.Row(elem_id="layout", scale=1):
            with gr.Column(elem_id="main", scale=1, min_width=0):
                with gr.Row(elem_id="choices"):
                    scope = gr.Dropdown(
                        [],
                        value=[],
                        multiselect=True,
                        allow_custom_value=True,
                        label="Answer only from (empty: all sources)",
                        elem_id="scope",
                        scale=3,
                        min_width=200,
                    )
                    model = gr.Dropdown(
                        [assistant.models.names.chat],
                        value=assistant.models.names.chat,
                        allow_custom_value=True,
                        label="Chat model",
                        elem_id="chat-model",
                        visible=False,
                        scale=2,
                        min_width=200,
                    )
                chatbot = gr.Chatbot(
                    label="Conversation",
                    show_label=False,
                    elem_id="conversation",
                    scale=1,
                    placeholder=f"### Ask about your pages and files\n{_what_is_asked(assistant.settings)}",
                    buttons=["copy", "copy_all"],
                    feedback_value=None,
                    layout="bubble",
                )
                save = gr.Button("Save the conversation", size="sm", variant="secondary", elem_id="save")
                face = gr.ChatInterface(
                    respond,
                    chatbot=chatbot,
                    textbox=gr.Textbox(
                        placeholder=QUESTION_HINT,
                        show_label=False,
                        label="Question",
                        max_length=assistant.settings.max_question,
                        autofocus=True,
                        submit_btn=True,
                        stop_btn=True,
                        scale=7,
                    ),
                    additional_inputs=[scope, model],
                    examples=[[question] for question in EXAMPLES]
                    if DEFAULT_SOURCE in assistant.settings.sources
                    else None,
                    cache_examples=False,
                    editable=True,
                    save_history=True,
                    flagging_mode="never",  # its listener would be public: see `_keep_feedback`
                    concurrency_limit=None,  # questions of all doors wait in one line, `rag.answers.stream.Line`
                    show_progress="hidden",
                    api_visibility="private",
                )
            sidebar = Sidebar(assistant, may_change)
        _keep_conversations(face, assistant.settings)
        _keep_feedback(chatbot, assistant.settings)
        written = gr.Textbox(visible="hidden")
        save.click(lambda history: conversation_as_markdown(history), face.chatbot, written, **QUIET).then(
            None, written, None, js=SAVE_FILE, **QUIET
        )
        face.textbox.stop(None, chatbot, chatbot, js=MARK_STOPPED, **QUIET).then(
            None, None, None, js=SETTLE, **QUIET
        ).then(None, chatbot, chatbot, js=MARK_STOPPED, **QUIET)
        # Gradio takes the hint out of the box at each question, and does not put it back.
        gr.on(
            [face.saved_conversations.change, face.textbox.stop],
            lambda: gr.Textbox(placeholder=QUESTION_HINT),
            None,
            face.textbox,
            **QUIET,
        )
        gr.api(chat, api_name="chat", concurrency_limit=None)  # type: ignore[attr-defined]
        gr.api(predict, api_name="predict", concurrency_limit=None)  # type: ignore[attr-defined]
        gr.api(answer, api_name="answer", concurrency_limit=None)  # type: ignore[attr-defined]

        seen = gr.State({})
        outputs = [status, actions, pull, retry, scope, model, seen]

        def tick(last: dict[str, Any], request: gr.Request) -> Any:
            status = assistant.status()
            owner = may_change(request)
            now: dict[str, Any] = {"status": show_status(status), "owner": owner}
            if now == last:
                return [gr.skip()] * len(outputs)
            can_pull, can_retry = bool(status["missing"]) and owner, bool(status["failed"]) and owner
            can_retry &= status["guide"] or not status["ready"]
            return [
                now["status"],
                gr.Row(visible=can_pull or can_retry),
                gr.Button(f"Pull {', '.join(status['missing'])}", visible=can_pull),
                gr.Button(visible=can_retry),
                gr.skip() if last else gr.Dropdown(name_sources(assistant)),
                gr.Dropdown(visible=owner) if owner != last.get("owner") else gr.skip(),
                now,
            ]

        timer = gr.Timer(1.5)
        gr.on([page.load, timer.tick], tick, seen, outputs, **QUIET)
        gr.on([page.load, timer.tick], sidebar.look, [sidebar.seen, sidebar.filter], sidebar.outputs, **QUIET)
        scope.focus(lambda: gr.Dropdown(name_sources(assistant)), None, scope, **QUIET)  # all of them at no other time
        model.focus(lambda: gr.Dropdown(name_chat_models(assistant)), None, model, **QUIET)

        def pull_missing(request: gr.Request) -> None:
            if not may_change(request):
                raise gr.Error(REFUSED, print_exception=False)
            _pull_missing(assistant)

        def try_again(request: gr.Request) -> None:
            if not may_change(request):
                raise gr.Error(REFUSED, print_exception=False)
            assistant.retry()

        pull.click(pull_missing, None, None, api_visibility="private", concurrency_limit=1)
        retry.click(try_again, None, None, **QUIET)
    page.queue(max_size=MOST_EVENTS, default_concurrency_limit=8, api_open=False)
    return page


def name_sources(assistant: Assistant) -> list[tuple[str, str]]:
    """What a conversation can be limited to: (what is shown, source); titles that are not unique with their address."""
    sources = assistant.sources
    titles = Counter(item.title for item in sources)
    named = [
        (item.title if titles[item.title] == 1 else f"{item.title} ({short(item.source)})", item.source)
        for item in sources
    ]
    return sorted(named, key=lambda name: name[0].lower())


def name_chat_models(assistant: Assistant) -> list[str]:
    """The chat models that a conversation can go on with, the app's own first."""
    own = assistant.models.names.chat
    return [own, *(name for name in assistant.models.chat_names() if name != own)]


def show_status(status: dict[str, Any]) -> str:
    """The strip over the chat: models, what is indexed, what is awaited, what is wrong."""
    mood = "ok" if status["ready"] else "bad" if status["problems"] else "wait"
    models = status["models"]
    counts = f"{counted(status['sources'], 'source')}, {counted(status['chunks'], 'chunk')}"
    facts = [("Chat", models["chat"]), ("Embeddings", models["embeddings"]), ("Indexed", counts)]
    if status["ready"] and status["awaiting"]:  # beside the rest, so that nothing moves while people chat
        facts.append(("Meanwhile", "; ".join(status["awaiting"])))
    strip = "".join(f"<span><small>{name}</small> {html.escape(value)}</span>" for name, value in facts)
    lines = [f"<h1>{TITLE}</h1>"]
    lines += [f'<div class="strip {mood}"><i aria-hidden="true"></i>{strip}</div>']
    lines += [f'<p class="wait">{html.escape(text)} …</p>' for text in status["awaiting"] if not status["ready"]]
    lines += [f'<p class="bad">{html.escape(text)}</p>' for text in status["problems"].values()]
    failed = list(status["failed"].items())
    shown = 0 if status["ready"] and not status["guide"] else 5  # the library lists them, too
    lines += [
        f'<p class="warn"><b>{html.escape(source)}</b> could not be loaded: {html.escape(reason)}</p>'
        for source, reason in failed[:shown]
    ]
    if len(failed) > shown:
        more = f"{counted(len(failed) - shown, 'more source' if shown else 'source')} could not be loaded"
        lines.append(f'<p class="warn">{more}; the library says why.</p>')
    if status["guide"]:
        lines.append('<p class="wait">Meanwhile answers come from the guide on LLM agents that comes with the app.</p>')
    lines += [f'<p class="warn">{html.escape(text)}</p>' for text in status["notes"]]
    return "".join(lines)


def _feedback_folder(settings: Settings) -> Path:
    """Beside the app; in the data folder where the app's own may not be written to, as in the image."""
    return (HERE / ".gradio" if os.access(HERE / ".gradio", os.W_OK) else settings.data_dir) / "flagged"


def _what_is_asked(settings: Settings) -> str:
    if settings.sources == (DEFAULT_SOURCE,):
        return "Answers come from one article on LLM agents, or from the guide that comes with the app."
    return f"Answers come from {', '.join(settings.sources[:3])}{' …' if len(settings.sources) > 3 else ''}."


def _keep_feedback(chatbot: gr.Chatbot, settings: Settings) -> None:
    """Write each thumb under an answer to `log.csv` in the feedback folder."""
    logger = ChatCSVLogger()  # type: ignore[no-untyped-call]
    logger.setup(str(_feedback_folder(settings)))
    chatbot.like(logger.flag, chatbot, None, api_visibility="private")


def _keep_conversations(face: gr.ChatInterface, settings: Settings) -> None:
    """Let saved conversations outlive a restart: by default Gradio makes a new key for them at each start.

    Replicas on one Chroma server have the same key, whichever of them a browser comes to.

    `gr.ChatInterface` has no argument for either value; its maintainers advise to set `secret` on the component
    (https://github.com/gradio-app/gradio/issues/10559).
    """
    face.saved_conversations.storage_key = "local-rag-chat"
    if settings.chroma_url:
        told = (settings.chroma_url, settings.chroma_database, settings.chroma_token, settings.password)
        face.saved_conversations.secret = hashlib.sha256("\n".join(told).encode()).hexdigest()[:16]
        return
    path = settings.data_dir / "browser.key"
    try:
        secret = path.read_text(encoding="utf-8").strip()
    except OSError:
        secret = ""
    if not secret:
        secret = secrets.token_hex(8)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(secret, encoding="utf-8")
    face.saved_conversations.secret = secret


def _pull_missing(assistant: Assistant) -> None:
    try:
        for model in assistant.status()["missing"]:
            for _ in assistant.models.pull(model):
                pass
    except RagError as error:
        raise gr.Error(str(error), print_exception=False) from error


def show_progress(assistant: Assistant, stop: threading.Event) -> None:
    """Progress bars in the terminal for what takes long, until `stop`."""
    bars: dict[str, tqdm[Any]] = {}
    while not stop.wait(0.3):
        work = {key: item for key, item in list(assistant.work.items()) if item.total}
        for key in bars.keys() - work.keys():
            bars.pop(key).close()
        for key, item in work.items():
            if key not in bars or bars[key].total != item.total:
                if key in bars:
                    bars.pop(key).close()
                bars[key] = tqdm(
                    total=item.total,
                    unit=" B" if item.unit == "bytes" else f" {item.unit}",
                    unit_scale=True,
                    leave=False,
                )
            bars[key].set_description(item.label[:60], refresh=False)
            bars[key].n = item.done
            bars[key].refresh()
    for bar in bars.values():
        bar.close()


def parse_flags(arguments: Sequence[str] | None = None) -> dict[str, Any]:
    """The command line's flags, under the names of the settings; None where not given."""
    parser = argparse.ArgumentParser(
        prog="app.py",
        description="A local RAG chat in the browser. Any setting can also be given as RAG_NAME, also in a file .env.",
    )
    parser.add_argument(
        "--source",
        action="append",
        dest="sources",
        metavar="URL_OR_PATH",
        help="a page, file or folder; may be repeated",
    )
    parser.add_argument("--model", metavar="PROVIDER:MODEL", help="chat model, such as ollama:llama3")
    parser.add_argument("--embeddings", metavar="PROVIDER:MODEL", help="embeddings, such as ollama:mxbai-embed-large")
    parser.add_argument("--data-dir", metavar="FOLDER", help="where texts and the vector store are kept")
    parser.add_argument("--host", help="address to serve on (127.0.0.1)")
    parser.add_argument("--port", type=int, help="port to serve on (7860; 0: any free one)")
    parser.add_argument("--pull", action="store_const", const=True, help="pull missing Ollama models at start")
    parser.add_argument("--share", action="store_const", const=True, help="make a public link, with a password")
    parser.add_argument("--mcp", action="store_const", const=True, help="serve other assistants over MCP at /mcp")
    parser.add_argument("--open", action="store_true", help="open the page in the browser")
    return vars(parser.parse_args(arguments))


def main(arguments: Sequence[str] | None = None) -> int:
    """Start the app and serve until a signal comes. Returns the exit code."""
    flags = parse_flags(arguments)
    open_browser = flags.pop("open")
    set_up_logs("text")
    try:
        settings = load_settings(**flags)
        set_up_logs(settings.log_format)
        check_tracing()
        assistant = Assistant(settings)
        served = threading.Event()
        assistant.start(page=served)
    except RagError as error:
        print(error, file=sys.stderr)
        return 1
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _end)
    _allow_many_files()
    told = threading.Event()
    progress = threading.Thread(target=show_progress, args=(assistant, told), daemon=True)
    try:
        if sys.stderr.isatty():
            progress.start()
        page = serve(assistant, open_browser=open_browser)
        served.set()
        try:
            while True:
                time.sleep(3600)
        finally:
            _end_serving(assistant, page)
    except KeyboardInterrupt:
        return 0
    except OSError as error:
        print(f"The page cannot be served on {settings.host}:{settings.port}: {error}", file=sys.stderr)
        return 1
    finally:
        told.set()
        served.set()  # whatever waits for the page is to end, too
        assistant.close()


def _allow_many_files() -> None:
    """As many as the system allows: each open page and socket is one, and the usual soft limit is 1,024 of them."""
    if sys.platform == "win32":
        return
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST_FILES if hard == resource.RLIM_INFINITY else min(hard, MOST_FILES)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with suppress(OSError, ValueError):  # macOS has a limit of its own
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _end(number: int, frame: object) -> None:
    """On the first signal, end tidily; a second Ctrl-C ends at once. (An `Event` may not be set in a handler.)"""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    raise KeyboardInterrupt


def serve(assistant: Assistant, *, open_browser: bool = False) -> gr.Blocks:
    """Serve the page and the routes beside it; returns once they answer."""
    settings = assistant.settings
    guarded = not settings.on_loopback and not os.environ.get("SPACE_ID")  # a Space is public on purpose
    password = settings.password or (secrets.token_urlsafe(9) if guarded else "")
    credentials = {settings.user: password} if password else {}
    if password and settings.admin_password:
        credentials["admin"] = settings.admin_password
    page = build_page(assistant, guarded=bool(password))
    logging.getLogger("uvicorn.error").addFilter(_in_one_line)
    hosts = (*LOCAL_NAMES, settings.host) if settings.on_loopback and not password else None
    app_kwargs: dict[str, Any] = {
        "title": TITLE,
        "description": DESCRIPTION,
        "routes": [
            *build_predict_routes(assistant).routes,
            *build_state_routes(assistant, bare_health=bool(password)).routes,
            *build_socket_routes(assistant).routes,
            *build_library_routes(assistant).routes,
            *build_openai_routes(assistant).routes,
        ],
        "middleware": [
            Middleware(Observed, metrics=assistant.metrics),
            Middleware(Guard, hosts=hosts, credentials=credentials, token=assistant.folder.token),
        ],
        "exception_handlers": {RequestValidationError: reply_to_invalid},
    }
    if settings.mcp:
        routes, lifespan = build_mcp_routes(assistant)
        app_kwargs["routes"] += routes
        app_kwargs["lifespan"] = lifespan
    _, local_url, share_url = page.launch(
        server_name=settings.host,
        server_port=settings.port or _free_port(settings.host),
        share=settings.share,
        auth=list(credentials.items()) or None,
        inbrowser=open_browser,
        prevent_thread_lock=True,
        quiet=True,
        show_error=False,
        max_file_size=LARGEST_BODY,
        enable_monitoring=False,
        state_session_capacity=MOST_SESSIONS,
        ssr_mode=False,
        mcp_server=False,
        pwa=False,
        run_history=False,
        footer_links=["api"],
        root_path=settings.root_path or None,
        favicon_path=ASSETS / "favicon.svg",
        theme=build_theme(),
        css_paths=ASSETS / "page.css",
        app_kwargs=app_kwargs,
    )
    gc.freeze()  # what is loaded by now stays: a full collection would stop every answer for 0.17 s to look at it
    assistant.folder.say_holder(local_url)
    log.info("%s is at %s", TITLE, local_url)
    if settings.share:
        unreachable = "There is no public link: the share service cannot be reached. The page is served locally."
        log.info("%s", f"Shared at {share_url}" if share_url else unreachable)
    if password:
        log.info("User %s, password %s", settings.user, password)
    return page


def _end_serving(assistant: Assistant, page: gr.Blocks) -> None:
    """End the answers, then the page. A Gradio stream that is open when the page closes never ends by itself."""
    assistant.end_answers()
    latest = time.monotonic() + ANSWERS_SECONDS
    while assistant.line.inside and time.monotonic() < latest:
        time.sleep(0.05)
    time.sleep(LAST_WORD_SECONDS)
    page.close(verbose=False)


def _in_one_line(record: logging.LogRecord) -> bool:
    """A peer that sends broken frames, or asks for an answer that is not there, is worth a line of the log alone.

    For an unknown id, Gradio begins to send events before it looks, and Starlette has no other way out than an error.
    """
    if record.getMessage().startswith("Invalid UTF-8"):
        record.exc_info = None
    elif record.exc_info and "response already started" in str(record.exc_info[1]):
        record.msg, record.args, record.exc_info = "A peer asked for an answer that is not there.", (), None
    return True


def build_theme() -> gr.themes.Base:
    """Gradio's Base in teal and slate, with the fonts of the machine (nothing is fetched)."""
    sans = ["system-ui", "-apple-system", "Segoe UI", "Roboto", "Ubuntu", "Cantarell", "sans-serif"]
    mono = ["ui-monospace", "SFMono-Regular", "Menlo", "Consolas", "Liberation Mono", "monospace"]
    return gr.themes.Base(primary_hue="teal", neutral_hue="slate", radius_size="lg", font=sans, font_mono=mono)


def _free_port(host: str) -> int:
    import socket

    with socket.socket() as probe:
        probe.bind((host if host != "localhost" else "127.0.0.1", 0))
        return int(probe.getsockname()[1])


if __name__ == "__main__":
    sys.exit(main())
