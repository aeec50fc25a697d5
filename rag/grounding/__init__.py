"""An answer's sentences get their sources; `ground` is the door."""
