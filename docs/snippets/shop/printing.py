from django.contrib.auth.decorators import login_required
from django.shortcuts import render


@login_required
def printing(request):
    return render(request, "shop/printing.html", {"run": request.GET.get("run", "")})
