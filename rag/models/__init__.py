"""A name, `provider:model`, becomes a chat model or embeddings."""
