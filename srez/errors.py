"""Errors that the user can mend, and the exit codes."""

import re
import textwrap

EXIT_DONE, EXIT_USER, EXIT_DIVERGED, EXIT_INTERRUPTED = 0, 2, 3, 75


class UserError(Exception):
    """Something the user can mend: its text is one line with what is wrong, where, and the remedy."""


def one_line(error: object) -> str:
    """The text of an error on one line, at most 300 characters, without TensorFlow's names of operations."""
    text = re.sub(r"\{\{.*?\}\} ?| ?\[Op:\w+\]", "", str(error))
    return textwrap.shorten(text, 300, placeholder=" ...")
