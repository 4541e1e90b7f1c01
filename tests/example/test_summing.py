from sourcestats.measuring import measure
from sourcestats.summing import summarize


def test_nothing_sums_up_to_nothing():
    assert summarize([]) == {
        "modules": 0,
        "functions": 0,
        "lines": 0,
        "comment_share": 0.0,
        "longest_functions": [],
        "most_imported": [],
    }


def test_modules_are_summed_up():
    modules = [
        measure(b"import os\ndef short(): pass\n", "a.py"),
        measure(b"# why\nimport os, abc\ndef long():\n    pass\n", "b.py"),
    ]

    assert summarize(modules) == {
        "modules": 2,
        "functions": 2,
        "lines": 6,
        "comment_share": 0.1667,
        "longest_functions": [
            {"path": "b.py", "name": "long", "lines": 2},
            {"path": "a.py", "name": "short", "lines": 1},
        ],
        "most_imported": [("os", 2), ("abc", 1)],
    }


def test_ten_of_the_longest_functions_come_from_any_module():
    many = b"\n".join(b"def f%d():\n    pass" % number for number in range(9))
    few = b"\n".join(b"def g%d(): pass" % number for number in range(9))

    longest = summarize([measure(few, "a.py"), measure(many, "b.py")])["longest_functions"]

    assert [function["path"] for function in longest] == ["b.py"] * 9 + ["a.py"]
