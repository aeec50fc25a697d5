"""The library as tools for another assistant: start the app with `--mcp`, then list and call its tools."""

import asyncio
import os
import sys

from mcp.client.session import ClientSession
from mcp.client.streamable_http import streamable_http_client


async def main(question: str) -> None:
    """Ask over MCP."""
    url = os.environ.get("RAG_URL", "http://127.0.0.1:7860")
    async with streamable_http_client(f"{url}/mcp") as streams, ClientSession(*streams[:2]) as session:
        await session.initialize()
        print("tools:", ", ".join(tool.name for tool in (await session.list_tools()).tools))
        result = await session.call_tool("ask", {"question": question})
        print(result.structured_content["answer"])


asyncio.run(main(sys.argv[1] if len(sys.argv) > 1 else "What is task decomposition?"))
