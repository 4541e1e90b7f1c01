from django.contrib import admin

from orders.models import Item, Order, Product
from orders.tasks import import_catalogue


class ItemInline(admin.TabularInline):
    model = Item
    extra = 0


@admin.register(Order)
class OrderAdmin(admin.ModelAdmin):
    list_display = ["id", "email", "state", "total", "created_at"]
    list_filter = ["state"]
    search_fields = ["email", "payment_reference"]
    inlines = [ItemInline]
    date_hierarchy = "created_at"


@admin.register(Product)
class ProductAdmin(admin.ModelAdmin):
    list_display = ["sku", "name", "price", "stock", "is_listed"]
    search_fields = ["sku", "name"]
    actions = ["update_from_carrier"]

    @admin.action(description="Update all from the carrier's catalogue")
    def update_from_carrier(self, request, queryset):
        result = import_catalogue.delay()
        self.message_user(request, f"The catalogue is being imported: {result.id}")
