from django.shortcuts import render

from shop.catalogue import PrintCatalogue


def print_at_once(request):
    result = PrintCatalogue.using(owner=request.user).enqueue(season="spring")
    return render(request, "shop/printing.html", {"run": result})
