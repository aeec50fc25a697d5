"""The program of the article that this project answers, on today's package names: the yardstick of `make bench`.

A page is loaded, split, embedded into Chroma; a question retrieves four chunks, which go into one prompt; the answer
streams. `/predict` gives it whole, the WebSocket `/chat` token by token. Kept as plain as it was, faults included: it
is measured, not used.
"""

from __future__ import annotations

import argparse
import warnings

warnings.filterwarnings("ignore", category=DeprecationWarning)

import bs4
import uvicorn
from fastapi import FastAPI, WebSocket, WebSocketDisconnect
from langchain_chroma import Chroma
from langchain_community.document_loaders import WebBaseLoader
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import Runnable, RunnablePassthrough
from langchain_ollama import ChatOllama, OllamaEmbeddings
from langchain_text_splitters import RecursiveCharacterTextSplitter

PROMPT = ChatPromptTemplate.from_template(
    "You are an assistant for question-answering tasks. Use the following pieces of retrieved context to answer the"
    " question. If you don't know the answer, just say that you don't know. Use three sentences maximum and keep the"
    " answer concise.\nQuestion: {question} \nContext: {context} \nAnswer:"
)
"""In the words of `rlm/rag-prompt`, which the article pulls from LangChain's hub."""


def build_chain(page: str, ollama: str) -> Runnable:
    """The article's chain over one page."""
    classes = bs4.SoupStrainer(class_=("post-content", "post-title", "post-header"))
    documents = WebBaseLoader(web_paths=(page,), bs_kwargs={"parse_only": classes}).load()
    chunks = RecursiveCharacterTextSplitter(chunk_size=1000, chunk_overlap=200).split_documents(documents)
    embeddings = OllamaEmbeddings(model="mxbai-embed-large", base_url=ollama)
    retriever = Chroma.from_documents(documents=chunks, embedding=embeddings).as_retriever()

    def joined(found: list) -> str:
        return "\n\n".join(document.page_content for document in found)

    return (
        {"context": retriever | joined, "question": RunnablePassthrough()}
        | PROMPT
        | ChatOllama(model="llama3", base_url=ollama)
        | StrOutputParser()
    )


def build_app(chain: Runnable) -> FastAPI:
    """The article's two routes."""
    app = FastAPI()

    @app.get("/predict")
    async def predict(query: str) -> str:
        return await chain.ainvoke(query)

    @app.websocket("/chat")
    async def chat(socket: WebSocket) -> None:
        await socket.accept()
        try:
            while True:
                question = await socket.receive_text()
                async for token in chain.astream(question):
                    await socket.send_json({"message": token})
        except WebSocketDisconnect:
            pass

    return app


def main() -> None:
    """Serve it."""
    parser = argparse.ArgumentParser("python -m bench.article", description=__doc__.splitlines()[0])
    parser.add_argument("--page", required=True, help="URL of the page")
    parser.add_argument("--ollama", required=True, help="URL of the engine")
    parser.add_argument("--port", type=int, required=True)
    flags = parser.parse_args()
    uvicorn.run(build_app(build_chain(flags.page, flags.ollama)), host="127.0.0.1", port=flags.port, log_level="error")


if __name__ == "__main__":
    main()
