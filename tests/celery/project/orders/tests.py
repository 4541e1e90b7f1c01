from datetime import timedelta
from decimal import Decimal
from unittest.mock import patch

from django.core import mail
from django.core.cache import cache
from django.test import TestCase
from django.urls import reverse
from django.utils import timezone

from orders import carrier, gateway, services, tasks
from orders.models import Item, Order, Product


class ShopCase(TestCase):
    def setUp(self):
        cache.clear()
        self.tea = Product.objects.create(
            name="Green tea", sku="tea-1", price=Decimal("7.90"), stock=10
        )

    def order(self, **values):
        order = Order.objects.create(email="ada@example.com", **values)
        Item.objects.create(order=order, product=self.tea, quantity=2, price=self.tea.price)
        order.update_total()
        return order


class PlaceOrderTests(ShopCase):
    def test_it_is_charged_on_commit(self):
        with self.captureOnCommitCallbacks(execute=True):
            order = services.place_order("ada@example.com", {"tea-1": 2})
        order.refresh_from_db()
        self.assertEqual(order.state, Order.State.PAID)
        self.assertTrue(order.payment_reference.startswith(str(order.id)))
        self.assertEqual(mail.outbox[0].body, "We have received 20.70.")

    def test_it_is_charged_with_shipping(self):
        with (
            patch("orders.tasks.charge_order.delay") as delay,
            self.captureOnCommitCallbacks(execute=True),
        ):
            order = services.place_order("ada@example.com", {"tea-1": 2})
        delay.assert_called_once_with(order.id, Decimal("20.70"))

    def test_nothing_is_charged_without_a_commit(self):
        with patch("orders.tasks.charge_order.delay") as delay:
            services.place_order("ada@example.com", {"tea-1": 2})
        delay.assert_not_called()

    def test_out_of_stock(self):
        response = self.client.post(
            reverse("place"), {"email": "ada@example.com", "sku": "tea-1", "quantity": 11}
        )
        self.assertEqual(response.status_code, 409)
        self.assertFalse(Order.objects.exists())

    def test_an_unknown_product(self):
        response = self.client.post(
            reverse("place"), {"email": "ada@example.com", "sku": "x", "quantity": 1}
        )
        self.assertEqual(response.status_code, 400)

    def test_it_is_shown(self):
        order = self.order()
        shown = self.client.get(reverse("order", args=[order.id])).json()
        self.assertEqual(shown["items"], [{"product": "tea-1", "quantity": 2}])


class ChargeTests(ShopCase):
    def test_a_paid_order_is_not_charged_again(self):
        order = self.order(state=Order.State.PAID, payment_reference="before")
        self.assertEqual(tasks.charge_order(order.id, Decimal(5)), "before")

    def test_a_card_is_declined(self):
        order = self.order()
        with patch("orders.gateway.charge", side_effect=gateway.CardDeclinedError):
            self.assertIsNone(tasks.charge_order.delay(order.id, Decimal(5)).get())
        order.refresh_from_db()
        self.assertEqual(order.state, Order.State.FAILED)
        self.assertEqual(mail.outbox[0].subject, "Your card was declined")

    def test_the_gateway_is_asked_again(self):
        order = self.order()
        outcomes = [gateway.GatewayError("busy"), gateway.GatewayError("busy"), "paid"]
        with patch("orders.gateway.charge", side_effect=outcomes) as charge:
            result = tasks.charge_order.apply(args=(order.id, Decimal(5)))
        self.assertEqual((charge.call_count, result.get()), (3, "paid"))

    def test_the_gateway_is_given_up(self):
        order = self.order()
        with patch("orders.gateway.charge", side_effect=gateway.GatewayError("busy")) as charge:
            result = tasks.charge_order.apply(args=(order.id, Decimal(5)))
        self.assertEqual(charge.call_count, 6)
        with self.assertRaisesMessage(gateway.GatewayError, "busy"):
            result.get()

    def test_called_directly_it_raises(self):
        order = self.order()
        with (
            patch("orders.gateway.charge", side_effect=gateway.GatewayError("busy")),
            self.assertRaises(gateway.GatewayError),
        ):
            tasks.charge_order(order.id, Decimal(5))

    def test_how_long_it_waits(self):
        order = self.order()
        with (
            patch("orders.gateway.charge", side_effect=gateway.GatewayError("busy")),
            patch.object(tasks.charge_order, "retry", side_effect=gateway.GatewayError) as retry,
            self.assertRaises(gateway.GatewayError),
        ):
            tasks.charge_order(order.id, Decimal(5))
        self.assertEqual(retry.call_args.kwargs["countdown"], 1)


class CancelTests(ShopCase):
    def test_abandoned_orders_are_cancelled(self):
        old = self.order(created_at=timezone.now() - timedelta(hours=30))
        new = self.order()
        tasks.cancel_abandoned.delay(hours=24)
        self.assertEqual(Order.objects.get(pk=old.pk).state, Order.State.CANCELLED)
        self.assertEqual(Order.objects.get(pk=new.pk).state, Order.State.NEW)
        self.tea.refresh_from_db()
        self.assertEqual(self.tea.stock, 12)

    def test_a_paid_order_is_refunded(self):
        order = self.order(state=Order.State.PAID, payment_reference="paid-1")
        with (
            patch("orders.gateway.refund") as refund,
            self.captureOnCommitCallbacks(execute=True),
        ):
            self.assertTrue(services.cancel_order(order))
            self.assertFalse(services.cancel_order(order))
        refund.assert_called_once_with("paid-1", Decimal("15.80"))

    def test_a_refund_is_tried_four_times(self):
        order = self.order()
        with patch("orders.gateway.refund", side_effect=gateway.GatewayError) as refund:
            result = tasks.refund_order.apply((order.id,))
        self.assertEqual((refund.call_count, result.state), (4, "FAILURE"))


class ShipTests(ShopCase):
    def test_it_is_announced(self):
        order = self.order(state=Order.State.PAID)
        response = self.client.post(reverse("ship", args=[order.id]))
        self.assertEqual(response.status_code, 202)
        order.refresh_from_db()
        self.assertEqual(order.state, Order.State.SHIPPED)
        self.assertIsNotNone(order.shipped_at)

    def test_what_is_not_paid_is_not_shipped(self):
        response = self.client.post(reverse("ship", args=[self.order().id]))
        self.assertEqual(response.status_code, 404)

    def test_how_it_is_enqueued(self):
        order, at = self.order(), timezone.now()
        with patch("orders.tasks.announce_parcel.apply_async") as apply:
            services.ship_order(order, at)
        apply.assert_called_once_with(
            args=(order.id,), kwargs={"weight": 2, "at": at}, queue="shipping", priority=6
        )

    def test_its_result_has_types(self):
        order, at = self.order(), timezone.now()
        result = tasks.announce_parcel.delay(order.id, weight=2, at=at)
        self.assertEqual(
            result.get(), {"order": order.id, "tracking_number": f"track-{order.id}", "at": at}
        )

    def test_the_carrier_is_asked_again(self):
        outcomes = [carrier.CarrierError("away"), "track-1"]
        with patch("orders.carrier.announce", side_effect=outcomes) as announce:
            result = tasks.announce_parcel.apply(
                (self.order().id,), {"weight": 2, "at": timezone.now()}
            )
        self.assertEqual((announce.call_count, result.successful()), (2, True))

    def test_a_bad_address_is_not_tried_again(self):
        with patch("orders.carrier.announce", side_effect=carrier.AddressError("x")) as announce:
            result = tasks.announce_parcel.apply(
                (self.order().id,), {"weight": 2, "at": timezone.now()}
            )
        self.assertEqual((announce.call_count, result.state), (1, "FAILURE"))
        self.assertIn("AddressError: x", result.traceback)


class StockTests(ShopCase):
    def test_a_mail_about_low_stock_is_written_once(self):
        Product.objects.update(stock=4)
        self.assertEqual(tasks.watch_stock.delay().get(), 1)
        self.assertEqual(tasks.watch_stock.delay().get(), 1)
        self.assertEqual([message.body for message in mail.outbox], ["tea-1: 4"])

    def test_no_mail_without_need(self):
        self.assertEqual(tasks.watch_stock(), 0)
        self.assertEqual(mail.outbox, [])

    def test_the_catalogue_is_imported(self):
        self.assertEqual(tasks.import_catalogue.delay().get(), ["tea-1", "tea-2", "pot-1"])
        self.assertEqual(Product.objects.get(sku="pot-1").price, Decimal("39.00"))

    def test_what_is_not_imported_in_time(self):
        with patch(
            "orders.tasks.Product.objects.update_or_create",
            side_effect=[None, tasks.SoftTimeLimitExceeded()],
        ):
            self.assertEqual(tasks.import_catalogue(), ["tea-1"])
