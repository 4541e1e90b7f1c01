def hide_addresses(run, part, value):
    """Do not show where our customers live."""
    if isinstance(value, dict) and "address" in value:
        return {**value, "address": "(hidden)"}
    return value
