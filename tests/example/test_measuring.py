import ast
import gc
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sourcestats.measuring import measure


def measured(source, path="module.py"):
    return measure(source.encode(), path)


def test_an_empty_module_measures_nothing():
    assert measured("") == {
        "path": "module.py",
        "functions": 0,
        "longest_functions": [],
        "lines": 0,
        "comment_lines": 0,
        "comment_share": 0.0,
        "imports": [],
    }


def test_functions_are_counted_wherever_they_are():
    module = measured(
        "def outer():\n"
        "    def inner():\n"
        "        pass\n"
        "class Thing:\n"
        "    async def method(self):\n"
        "        pass\n"
        "if True:\n"
        "    def conditional():\n"
        "        pass\n"
        "nameless = lambda: None\n"
    )

    assert module["functions"] == 4
    assert {function["name"] for function in module["longest_functions"]} == {
        "outer",
        "outer.inner",
        "Thing.method",
        "conditional",
    }


def test_the_longest_function_comes_first():
    module = measured(
        "def b():\n    pass\n\ndef a():\n    pass\n\ndef long():\n    pass\n    pass\n"
    )

    assert module["longest_functions"] == [
        {"name": "long", "lines": 3},
        {"name": "a", "lines": 2},
        {"name": "b", "lines": 2},
    ]


def test_ten_of_the_longest_functions_are_kept():
    module = measured("\n".join(f"def f{number}(): pass" for number in range(12)))

    assert module["functions"] == 12
    assert len(module["longest_functions"]) == 10


def test_decorators_do_not_make_a_function_longer():
    module = measured("@decorator(\n    1,\n)\ndef decorated():\n    pass\n")

    assert module["longest_functions"] == [{"name": "decorated", "lines": 2}]


def test_comment_share_is_comment_lines_among_lines_that_are_not_blank():
    module = measured('# one\n\nx = 1  # beside code\n    # two\ny = "# no comment"\n')

    assert (module["comment_lines"], module["lines"]) == (2, 4)
    assert module["comment_share"] == 0.5


def test_a_hash_in_a_long_string_is_no_comment():
    assert measured('x = """\n# not one\n"""  # beside a string\n')["comment_lines"] == 0


def test_imports_are_the_sorted_names_of_top_level_modules():
    module = measured(
        "import os.path, sys as system\n"
        "from django.db import models\n"
        "from . import sibling\n"
        "from .cousin import thing\n"
        "def f():\n"
        "    import abc\n"
        "    import os\n"
    )

    assert module["imports"] == ["abc", "django", "os", "sys"]


def test_a_module_says_in_which_encoding_it_is_written():
    source = "# -*- coding: latin-1 -*-\n# Übergröße\ndef größe():\n    pass\n"

    module = measure(source.encode("latin-1"), "module.py")

    assert module["comment_lines"] == 2
    assert module["longest_functions"] == [{"name": "größe", "lines": 2}]


def test_a_byte_order_mark_is_no_part_of_the_source():
    assert measure(b"\xef\xbb\xbf# comment\n", "module.py")["comment_lines"] == 1


def test_a_deep_expression_does_not_exhaust_the_stack():
    assert measured("x = " + "+".join(["1"] * 2000) + "\ndef f(): pass\n")["functions"] == 1


def test_a_syntax_error_names_the_module():
    with pytest.raises(SyntaxError) as caught:
        measured("def broken(:\n", path="package/broken.py")

    assert caught.value.filename == "package/broken.py"


@pytest.mark.parametrize("source", [b"x = '\xfc'\n", b"# coding: no-such-encoding\n"])
def test_an_encoding_that_does_not_fit_is_a_syntax_error(source):
    with pytest.raises(SyntaxError):
        measure(source, "module.py")


@pytest.fixture
def threads_that_interrupt_each_other():
    """Also while a tree is built: then the garbage collector runs code of Python's."""
    interval, threshold = sys.getswitchinterval(), gc.get_threshold()
    sys.setswitchinterval(1e-6)
    gc.set_threshold(10)
    yield
    gc.set_threshold(*threshold)
    sys.setswitchinterval(interval)


class InACircle:
    def __init__(self):
        self.itself = self

    def __del__(self):
        for _ in range(20):
            pass


@pytest.mark.usefixtures("threads_that_interrupt_each_other")
def test_threads_measure_at_once():
    content = Path(ast.__file__).read_bytes()

    def functions(_):
        InACircle()
        return measure(content, "ast.py")["functions"]

    with ThreadPoolExecutor(4) as threads:
        assert len({*threads.map(functions, range(24))}) == 1
