"""What the register calls rows of declared tables, and how such names are told apart.

What belongs here: names. What does not: anything that takes long to import: a command asks before it has imported the rest.
"""


def register_name(source: str, table: str) -> str:
    """What the rows and batches of a source's table are registered under. No source's name has a dot."""
    return f"{source}.{table}"


def is_of_a_table(batch: str) -> bool:
    """Whether a batch of this name is of a declared table's rows."""
    return "." in batch
