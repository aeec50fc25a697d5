# The app without an engine beside the embedded one: `docker compose up` starts it with Ollama and Chroma.
FROM python:3.12-slim AS packages

WORKDIR /app
COPY requirements.txt .
# With the extras `mcp` and `postgresql` of pyproject.toml, so that RAG_MCP and RAG_DATABASE_URL work in the image.
RUN python -m venv /venv \
    && /venv/bin/pip install --no-cache-dir --only-binary=:all: -r requirements.txt "mcp>=2.3,<3" "psycopg[binary]>=3.2,<4"

FROM packages AS weights
# The embedded chat models whose weights are baked in (510 MB), with those of the embedding model; `none` leaves them to be
# mounted at /cache.
ARG WEIGHTS=qwen2.5-coder-0.5b-instruct
COPY rag /app/rag
RUN mkdir -p /cache \
    && if [ "$WEIGHTS" != none ]; then \
        RAG_CACHE_DIR=/cache /venv/bin/python -m rag.models.fetch $WEIGHTS; \
    fi

FROM python:3.12-slim
RUN useradd --uid 10001 --create-home app \
    && mkdir -p /data /cache \
    && chown app:app /data /cache
COPY --from=packages /venv /venv
COPY --from=weights --chown=app:app /cache /cache
COPY app.py /app/
COPY rag /app/rag
WORKDIR /app
USER 10001
ENV PATH=/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    RAG_HOST=0.0.0.0 \
    RAG_PORT=7860 \
    RAG_DATA_DIR=/data \
    RAG_CACHE_DIR=/cache \
    RAG_LOG_FORMAT=json
EXPOSE 7860
VOLUME ["/data"]
HEALTHCHECK --interval=15s --timeout=5s --start-period=120s --retries=4 \
    CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:7860/health', timeout=4)"]
CMD ["python", "app.py"]
