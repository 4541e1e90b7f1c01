from taskworks.control import clear, drain

print(clear("mail"))  # cancels what waits
drain("mail", timeout=60)  # waits until nothing is ready or in hand
