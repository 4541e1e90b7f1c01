def may(request, action, row):
    """Support sees everything, and may retry; the operators may do anything."""
    groups = {group.name for group in request.user.groups.all()}
    if "operators" in groups:
        return True
    return "support" in groups and action in {"see", "see_arguments", "retry"}
