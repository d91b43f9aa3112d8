"""The two ways a command of the stack ends early."""


class StackError(Exception):
    """The command cannot go on; the text is the whole explanation a person gets."""


class Stopped(Exception):
    """Ctrl-C or SIGTERM arrived while the stack was still starting."""
