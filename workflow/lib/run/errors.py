"""What a user can do something about."""


class InputError(Exception):
    """Something the user gave is wrong; the message names it and says what to do."""
