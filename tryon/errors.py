"""The three ways in which a stage can fail on purpose; anything else is a bug and keeps its traceback."""


class UserError(Exception):
    """Something the user can mend: the message names what was found, where, and the fix (exit code 2)."""


class TryAgain(Exception):
    """The work stopped early but safely (time budget, SIGTERM): run the same command again (exit code 75)."""


class BadItem(Exception):
    """One photo or pair that cannot be used; the message becomes the reason in the quarantine table."""

    def __init__(self, reason: str) -> None:
        # a reason quotes names from files, and JSON may hold half a surrogate pair, which no table can store
        super().__init__(reason.encode("utf-8", "backslashreplace").decode("utf-8"))
