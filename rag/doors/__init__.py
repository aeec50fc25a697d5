"""Ways to ask: HTTP, WebSocket, OpenAI, MCP and the command line, all over the same chain."""
