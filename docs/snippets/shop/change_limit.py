from taskworks.control import change_limit

changed = change_limit("imports", at_once=3, total=None)
print(changed.at_once, changed.total)
