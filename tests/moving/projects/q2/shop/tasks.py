from shop.notes import note


def count_words(text):
    words = len(text.split())
    note(f"{words} words")
    return words


def send_mail(address):
    note(f"to {address}")
    return address


def thank(address):
    note(f"thanks to {address}")


def clean_up():
    note("cleaned up")
