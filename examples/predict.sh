#!/bin/sh
# The whole answer with curl: a JSON string, then the same with its sources.
URL=${RAG_URL:-http://127.0.0.1:7860}
curl -sG "$URL/predict" --data-urlencode "query=${1:-What is task decomposition?}"
echo
curl -sG "$URL/predict" --data-urlencode "query=${1:-What is task decomposition?}" -d sources=true
echo
