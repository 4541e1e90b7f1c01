import uuid
from datetime import timedelta
from decimal import Decimal

from django.conf import settings
from django.db import models
from django.utils import timezone


class Product(models.Model):
    name = models.CharField(max_length=100)
    sku = models.CharField(max_length=20, unique=True)
    price = models.DecimalField(max_digits=10, decimal_places=2)
    stock = models.PositiveIntegerField(default=0)
    is_listed = models.BooleanField(default=True)

    class Meta:
        ordering = ["name"]

    def __str__(self):
        return self.name

    @property
    def is_low(self):
        return self.stock < settings.LOW_STOCK


class OrderQuerySet(models.QuerySet):
    def open(self):
        return self.filter(state=Order.State.NEW)

    def paid(self):
        return self.filter(state__in=[Order.State.PAID, Order.State.SHIPPED])

    def abandoned(self, hours):
        return self.open().filter(created_at__lt=timezone.now() - timedelta(hours=hours))

    def of_day(self, day):
        return self.filter(created_at__date=day)


class Order(models.Model):
    class State(models.TextChoices):
        NEW = "new"
        PAID = "paid"
        SHIPPED = "shipped"
        CANCELLED = "cancelled"
        FAILED = "failed"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    email = models.EmailField()
    state = models.CharField(max_length=10, choices=State, default=State.NEW)
    total = models.DecimalField(max_digits=10, decimal_places=2, default=Decimal(0))
    payment_reference = models.CharField(max_length=50, blank=True)
    created_at = models.DateTimeField(default=timezone.now)
    paid_at = models.DateTimeField(null=True, blank=True)
    shipped_at = models.DateTimeField(null=True, blank=True)

    objects = OrderQuerySet.as_manager()

    class Meta:
        ordering = ["-created_at"]

    def __str__(self):
        return f"Order {self.id}"

    def shipping_costs(self):
        if self.total >= settings.FREE_SHIPPING_FROM:
            return Decimal(0)
        return Decimal("4.90")

    def update_total(self):
        self.total = sum((item.subtotal for item in self.items.all()), Decimal(0))
        self.save(update_fields=["total"])

    def mark_as_paid(self, reference):
        self.state = self.State.PAID
        self.payment_reference = reference
        self.paid_at = timezone.now()
        self.save(update_fields=["state", "payment_reference", "paid_at"])

    def mark_as_shipped(self, at):
        self.state = self.State.SHIPPED
        self.shipped_at = at
        self.save(update_fields=["state", "shipped_at"])

    def cancel(self):
        self.state = self.State.CANCELLED
        self.save(update_fields=["state"])


class Item(models.Model):
    order = models.ForeignKey(Order, on_delete=models.CASCADE, related_name="items")
    product = models.ForeignKey(Product, on_delete=models.PROTECT)
    quantity = models.PositiveIntegerField(default=1)
    price = models.DecimalField(max_digits=10, decimal_places=2)

    def __str__(self):
        return f"{self.quantity} x {self.product}"

    @property
    def subtotal(self):
        return self.quantity * self.price
