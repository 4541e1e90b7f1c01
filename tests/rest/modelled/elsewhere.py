"""Another model of a name that there is already."""

from pydantic import BaseModel


class Order(BaseModel):
    number: int
