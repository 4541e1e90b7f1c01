"""What is shown of an error, and what is not."""


def said_by(error: Exception) -> str:
    """
    Return what an error says of itself. Of a ValueError that is only its type: that of an address
    which cannot be read has a part of it in its text, perhaps of the password.
    """
    name = type(error).__name__
    return name if isinstance(error, ValueError) else f"{name}: {error}"
