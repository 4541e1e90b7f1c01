from typing import Any


def count(message: dict[str, Any]) -> None:
    schedule = message["task"]
    schedule.userdata = {"count": schedule.userdata.get("count", 0) + 1}
    print(schedule.label, message["message"]["scheduled_for"] is not None, schedule.userdata)


class Stock:
    @classmethod
    def order(cls, message: dict[str, Any]) -> None:
        print("ordering", message["task"].userdata["item"])
