"""Gradio's own client: each output is the answer so far; `cancel()` stops the model itself."""

import os
import sys

from gradio_client import Client

client = Client(os.environ.get("RAG_URL", "http://127.0.0.1:7860"), verbose=False)
question = sys.argv[1] if len(sys.argv) > 1 else "What is task decomposition?"
most = int(sys.argv[2]) if len(sys.argv) > 2 else 1000
job = client.submit(question, api_name="/chat")
for number, text in enumerate(job, start=1):
    print(text)
    if number == most:
        job.cancel()
        break
