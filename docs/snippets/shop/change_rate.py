from taskworks.control import change_limit

changed = change_limit("geocoder", rate="200/m", burst=None)
print(changed.rate, changed.burst)
