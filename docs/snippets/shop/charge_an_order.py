from uuid import UUID

from shop.charging import charge

result = charge.delay(UUID(int=7))
later = charge.apply_async((UUID(int=8),), countdown=60, queue="mail")
print(result.state, later.id == str(later))
