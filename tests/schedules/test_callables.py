"""What a schedule may run, how that is stored, and what is refused."""

import re
import uuid
from typing import Any

import pytest
from django.apps import apps
from django.db.migrations.state import ProjectState

from taskworks.exceptions import ResourceNotFound, TaskNotFound
from taskworks.timetables.callables import Described, describe, find, resolve
from tests.schedules import shelf
from tests.schedules.models import Letter, Named, Parcel, Registered
from tests.schedules.shelf import Bugle, Horn

SHELF = "tests.schedules.shelf"
MODELS = "tests.schedules.models"

FORMS = [
    (shelf.add, "task", "add"),
    (shelf.add.using(priority=3), "task", "add"),
    (shelf.add.func, "task", "add"),
    (shelf.hear, "function", "hear"),
    (shelf.hear_later, "function", "hear_later"),
    (shelf.of_another_name, "function", "of_another_name"),
    (shelf.with_more, "function", "with_more"),
    (shelf.wrapped, "function", "wrapped"),
    (Horn.of_nobody, "static_method", "Horn.of_nobody"),
    (shelf.horn.of_nobody, "static_method", "Horn.of_nobody"),
    (Horn.of_class, "class_method", "Horn.of_class"),
    (shelf.horn.of_class, "class_method", "Horn.of_class"),
    (Bugle.of_class, "class_method", "Bugle.of_class"),
    (Horn.Mouthpiece.of_nobody, "static_method", "Horn.Mouthpiece.of_nobody"),
    (Horn.Mouthpiece.of_class, "class_method", "Horn.Mouthpiece.of_class"),
]


@pytest.mark.any_database
class TestWhatIsNoInstances:
    @pytest.mark.parametrize(("given", "kind", "name"), FORMS)
    def test_is_stored_by_its_path(self, given: Any, kind: str, name: str) -> None:
        described = describe(given)
        assert described == Described(kind, f"{SHELF}.{name}", None)
        found = resolve(described)
        assert getattr(found, "func", found) == getattr(given, "func", given)

    @pytest.mark.parametrize(
        ("kind", "name"), sorted({form[1:] for form in FORMS} - {("function", "of_another_name")})
    )
    def test_may_be_given_as_its_path(self, kind: str, name: str) -> None:
        assert describe(f"{SHELF}.{name}") == Described(kind, f"{SHELF}.{name}", None)

    def test_an_inherited_class_method_is_called_with_the_class_named(self) -> None:
        assert resolve(describe(Bugle.of_class))({}) == "Bugle"
        assert resolve(describe(f"{SHELF}.Bugle.of_class"))({}) == "Bugle"

    def test_a_path_that_leads_nowhere_any_more_is_not_found(self) -> None:
        for path in ("tests.nowhere.f", f"{SHELF}.nothing", f"{SHELF}.Nobody.of_class"):
            with pytest.raises(TaskNotFound, match=re.escape(repr(path))):
                find(Described("function", path))
        with pytest.raises(TaskNotFound):
            find(Described("task", f"{SHELF}.nothing"))


REFUSED = [
    (shelf.anonymous, "lambda"),
    (shelf.outer(), "inside a function"),
    (len, "is a builtin"),
    ([].append, "is a builtin"),
    (str.upper, "is a builtin"),
    (shelf.half, "partial"),
    (shelf.horn, "__call__"),
    (Horn, "class cannot be called directly"),
    (shelf, "module cannot be called"),
    (7, "not callable"),
    (None, "not callable"),
    (shelf.of_none, "must take one argument"),
    (shelf.of_two, "must take one argument"),
    (shelf.of_a_keyword, "must take one argument"),
    (shelf.first, "is not the path of"),
    (shelf.horn.blow, "Only methods of Django model instances can be scheduled, not of"),
    (Horn.blow, "Cannot call the unbound instance method"),
    (Letter.remember, "Cannot call the unbound instance method"),
    (Letter().remember, "not saved"),
    (Parcel().remember, "not saved"),
    ("hear", "not the full dotted path"),
    ("", "not the full dotted path"),
    ("a b.c", "not the full dotted path"),
    ("tests.nowhere.hear", "leads to nothing"),
    ("nowhere.hear", "leads to nothing"),
    (f"{SHELF}.nothing", "leads to nothing"),
    (f"{SHELF}.Nobody.of_class", "leads to nothing"),
    (f"{SHELF}.Horn.nothing", "leads to nothing"),
    (SHELF, "module cannot be called"),
    (f"{SHELF}.Horn", "class cannot be called directly"),
    (f"{SHELF}.Horn.loud", "not callable"),
    (f"{SHELF}.half", "partial"),
    (f"{SHELF}.horn", "__call__"),
    (f"{SHELF}.heard", "not callable"),
    (f"{SHELF}.of_none", "must take one argument"),
    (f"{SHELF}.of_two", "must take one argument"),
    (f"{SHELF}.of_another_name", "one parameter, named 'message'"),
    (f"{SHELF}.Horn.blow", "not a Django model"),
    (f"{MODELS}.Letter.remember", "no instance is given"),
]


@pytest.mark.any_database
class TestRefused:
    @pytest.mark.parametrize(("given", "reason"), REFUSED)
    def test_is_what_no_worker_could_call(self, given: Any, reason: str) -> None:
        with pytest.raises(ValueError, match=re.escape(reason)):
            describe(given)

    def test_names_the_module_that_is_missing_inside_of_another(self) -> None:
        with pytest.raises(ValueError, match=re.escape("tests.schedules.not_there")):
            describe("tests.schedules.broken.hear")

    @pytest.mark.parametrize(
        "given", [shelf.add, shelf.hear, Horn.of_class, f"{SHELF}.hear", f"{SHELF}.add"]
    )
    def test_is_a_key_for_what_needs_no_instance(self, given: Any) -> None:
        with pytest.raises(ValueError, match="Leave pk_override out"):
            describe(given, pk=7)

    @pytest.mark.parametrize(
        ("model", "pk"), [("Letter", "seven"), ("Parcel", 1.5), ("Parcel", "x")]
    )
    def test_is_a_key_that_the_model_cannot_have(self, model: str, pk: Any) -> None:
        with pytest.raises(ValueError, match=f"{pk!r} is not a primary key of schedules.{model}"):
            describe(f"{MODELS}.{model}.remember", pk=pk)

    def test_is_the_method_of_a_historical_model(self) -> None:
        historical: Any = ProjectState.from_apps(apps).apps.get_model("schedules", "Letter")
        with pytest.raises(ValueError, match="as a migration knows it"):
            describe(historical(pk=1).refresh_from_db)

    def test_is_a_method_of_an_abstract_model(self) -> None:
        with pytest.raises(ValueError, match="abstract"):
            describe(Letter.remember, pk=1)


@pytest.mark.django_db
class TestMethodsOfInstances:
    @pytest.mark.parametrize(
        "make",
        [
            Letter,
            Parcel,
            lambda: Named(name="ß, or 'quoted'"),
            lambda: Registered(number="7"),
        ],
    )
    def test_are_found_again_by_any_type_of_key(self, make: Any) -> None:
        instance = make()
        instance.save()
        described = describe(instance.remember)
        model = type(instance).__name__
        assert described == Described("method", f"{MODELS}.{model}.remember", str(instance.pk))
        found = resolve(described)
        assert (found.__self__, type(found.__self__)) == (instance, type(instance))
        assert describe(f"{MODELS}.{model}.remember", pk=instance.pk) == described
        assert describe(f"{MODELS}.{model}.remember", pk=str(instance.pk)) == described

    def test_are_found_though_the_default_manager_hides_the_instance(self) -> None:
        parcel = Parcel.objects.create(is_hidden=True)
        assert resolve(describe(parcel.remember)).__self__ == parcel

    def test_of_an_instance_that_is_gone(self) -> None:
        described = describe(f"{MODELS}.Parcel.remember", pk=uuid.uuid4())
        assert find(described) is Parcel.remember
        with pytest.raises(ResourceNotFound, match=described.object_pk):
            resolve(described)

    def test_must_take_the_message(self) -> None:
        letter = Letter.objects.create()
        with pytest.raises(ValueError, match="must take one argument"):
            describe(letter.without_message)
        with pytest.raises(ValueError, match="must take one argument"):
            describe(f"{MODELS}.Letter.without_message", pk=letter.pk)

    def test_a_key_is_not_given_twice(self) -> None:
        letter = Letter.objects.create()
        with pytest.raises(ValueError, match="Leave pk_override out"):
            describe(letter.remember, pk=letter.pk)

    def test_static_and_class_methods_of_a_model_need_no_instance(self) -> None:
        assert describe(Letter.of_class) == Described("class_method", f"{MODELS}.Letter.of_class")
        assert resolve(describe(Letter().of_class))({}) == "Letter"
        assert describe(f"{MODELS}.Letter.of_all").kind == "static_method"
