"""The one exception a user is meant to read."""


class FlywheelError(Exception):
    """Something the user can mend: one sentence that says what, where, and what to do.

    The command line prints the sentence to standard error and exits with status 1, without a
    traceback.
    """
