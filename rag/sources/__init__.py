"""A source becomes documents.

`loader` fetches it (`web`); `reader` runs a child process, where `documents` picks the reader of its kind (`html`,
`pdf`, `office`, `plain`). `outline`, `flow` and `tables` make text of what these find.
"""
