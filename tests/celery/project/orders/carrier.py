"""The carrier, which is slow and sometimes away."""

from datetime import date


class CarrierError(Exception):
    """It is away."""


class AddressError(CarrierError):
    """It does not know the address."""


def announce(order_id, weight):
    if weight <= 0:
        raise AddressError("A parcel weighs something")
    return f"track-{order_id}"


def status(tracking_number):
    if not tracking_number.startswith("track-"):
        raise CarrierError(f"Unknown parcel: {tracking_number}")
    return {"delivered": True, "day": date(2026, 1, 5)}


def catalogue():
    return [
        {"sku": "tea-1", "name": "Green tea", "price": "7.90", "stock": 40},
        {"sku": "tea-2", "name": "Black tea", "price": "6.50", "stock": 3},
        {"sku": "pot-1", "name": "Teapot", "price": "39.00", "stock": 12},
    ]
