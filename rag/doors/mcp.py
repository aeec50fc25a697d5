"""The library as an MCP server: other assistants ask it, search it and see what is in it.

Needs the package `mcp`, which is optional (`pip install mcp`).
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, Any

from starlette.routing import BaseRoute

from rag.assistant import Assistant
from rag.doors.bodies import Turn, answer_fields, messages_of, sources_of
from rag.doors.guard import CALLER
from rag.errors import RagError, SettingsError

if TYPE_CHECKING:
    from mcp.server.mcpserver import MCPServer


def build_mcp_server(assistant: Assistant) -> MCPServer[Any]:
    """The server with its three tools, over an assistant that is started.

    Raises:
        SettingsError: the package `mcp` is not installed.
    """
    try:
        from mcp.server.mcpserver import MCPServer
        from mcp.server.mcpserver.exceptions import ToolError
    except ImportError as error:
        raise SettingsError("The MCP server needs the package mcp: pip install mcp") from error
    server: MCPServer[Any] = MCPServer(
        "local-rag-chat",
        instructions="A library of web pages and files on this person's machine. Use `search` for passages to read"
        " yourself, `ask` for an answer that a local model draws from them.",
    )

    @server.tool()
    async def ask(question: str, history: list[Turn] | None = None, scope: list[str] | None = None) -> dict[str, Any]:
        """Answer a question from the library with a local chat model.

        Gives the answer, the passages used, and which of them supports each sentence.

        Args:
            question: One question in full words.
            history: Earlier turns of the conversation, oldest first, where the question is a follow-up.
            scope: Sources to answer from, as the tool `sources` names them; all of them if it is left out.
        """
        given = {"question": question, "history": messages_of(history or []), "scope": scope, "caller": CALLER.get()}
        try:
            update = await assistant.chain.ainvoke(given)
        except RagError as error:
            raise ToolError(f"{error.code}: {error}") from error
        return {"answer": update.text, "model": assistant.models.names.chat, **answer_fields(update)}

    @server.tool()
    async def search(query: str, scope: list[str] | None = None) -> dict[str, Any]:
        """Find the passages of the library nearest to a query; no model writes anything.

        Args:
            query: What to look for, as a question or in keywords.
            scope: Sources to search, as the tool `sources` names them; all of them if it is left out.
        """
        try:
            return {"passages": sources_of(await assistant.search(query, scope or (), CALLER.get()))}
        except RagError as error:
            raise ToolError(f"{error.code}: {error}") from error

    @server.tool()
    async def sources() -> dict[str, Any]:
        """List what the library holds: each source's address or path, its title and its number of passages."""
        return {
            "sources": [
                {"source": item.source, "title": item.title, "passages": item.chunks} for item in assistant.sources
            ]
        }

    return server


def build_mcp_routes(
    assistant: Assistant,
) -> tuple[list[BaseRoute], Callable[[Any], AbstractAsyncContextManager[None]]]:
    """The route `/mcp` (streamable HTTP) and the lifespan that it needs. Host and Origin are checked by `Guard`."""
    server = build_mcp_server(assistant)
    from mcp.server.transport_security import TransportSecuritySettings

    checked_already = TransportSecuritySettings(enable_dns_rebinding_protection=False)
    routes = server.streamable_http_app(stateless_http=True, transport_security=checked_already).routes
    return list(routes), lambda app: server.session_manager.run()
