from taskworks.control import pause, resume


def switch_provider() -> None:
    pause("mail", reason="The provider is changed.", wait=True, timeout=600)
    try:
        move_addresses()  # no run of "mail" is executed now
    finally:
        resume("mail")


def move_addresses() -> None:
    print("moved")
