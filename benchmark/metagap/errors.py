"""The error types that a user is meant to read."""


class UserError(Exception):
    """Bad input, in one message: the place (file, key, value), what was found and what is allowed.

    The command line prints the message and exits with code 2; nothing has been changed on disk when it is raised.
    """


class CellError(Exception):
    """Cells that failed in the middle, most often for a fault in a plugin: which, why, and the file with the traceback.

    The command line prints the message and exits with code 1; what other cells have done is kept.
    """
