"""OpenAI's own client: the app as a model, token by token, with the passages in the last piece."""

import os
import sys

from openai import OpenAI

client = OpenAI(base_url=os.environ.get("RAG_URL", "http://127.0.0.1:7860") + "/v1", api_key="none")
question = sys.argv[1] if len(sys.argv) > 1 else "What is task decomposition?"
stream = client.chat.completions.create(
    model="local-rag-chat", messages=[{"role": "user", "content": question}], stream=True
)
for chunk in stream:
    print(chunk.choices[0].delta.content or "", end="", flush=True)
print()
for source in (chunk.model_extra or {}).get("local_rag", {}).get("sources", []):
    print(f"[{source['number']}] {source['title']}  {source['source']}")
