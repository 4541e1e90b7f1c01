from django import forms

from orders.models import Product


class OrderForm(forms.Form):
    email = forms.EmailField()
    sku = forms.CharField(max_length=20)
    quantity = forms.IntegerField(min_value=1, max_value=99)

    def clean_sku(self):
        sku = self.cleaned_data["sku"]
        if not Product.objects.filter(sku=sku, is_listed=True).exists():
            raise forms.ValidationError("There is no such product.")
        return sku
