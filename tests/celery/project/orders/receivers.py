from django.db.models.signals import post_save
from django.dispatch import receiver

from mailing.tasks import index_customer
from orders.models import Order


@receiver(post_save, sender=Order)
def remember_customer(sender, instance, created, **kwargs):
    if created:
        index_customer.apply_async((instance.email,), countdown=10)
