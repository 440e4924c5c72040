"""The one error type that a user is meant to read."""


class UserError(Exception):
    """Bad input, told in one message: the place (file, key, value), what was found and what is allowed.

    The command line prints the message and exits with code 2; nothing has been changed on disk when it is raised.
    """
