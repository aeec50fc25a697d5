"""The answer token by token over a WebSocket: text in, frames with `message` out."""

import json
import os
import sys

from websockets.sync.client import connect

url = os.environ.get("RAG_URL", "http://127.0.0.1:7860").replace("http", "ws", 1)
with connect(f"{url}/chat") as socket:
    socket.send(sys.argv[1] if len(sys.argv) > 1 else "What is task decomposition?")
    while True:
        frame = json.loads(socket.recv())
        print(frame.get("error") or frame["message"], end="", flush=True)
        if frame.get("done"):
            break
print()
for source in frame.get("sources", []):
    print(f"[{source['number']}] {source['title']}  {source['source']}")
