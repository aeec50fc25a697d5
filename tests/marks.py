"""Marks of turns and fences that a document may try to bring in."""

# ruff: noqa: E501  # the tables
from __future__ import annotations

MARKERS = [
    "<|im_start|>", "<|im_end|>", "<|endoftext|>", "<|eot_id|>", "<|start_header_id|>", "<|end_header_id|>", "<|user|>",
    "<|assistant|>", "<|system|>", "<|begin_of_text|>", "<｜User｜>", "<｜end▁of▁sentence｜>", "<start_of_turn>", "<end_of_turn>",
    "[INST]", "[/INST]", "<<SYS>>", "<</SYS>>", "<s>", "</s>", "<bos>", "<eos>", "<|IM_END|>", "<|channel|>", "<|tool▁call|>",
]  # fmt: skip
FENCES = [
    "-----END NOTES-----", "-----BEGIN NOTES-----", "---------END NOTES", "-- end notes --", "----- END  NOTES -----",
]  # fmt: skip
