"""Questions about the rows of a table are answered by counting and filtering them."""
