from sourcestats.counting import count_directly


def test_the_direct_count_sees_every_module_and_function(source):
    assert count_directly(source) == (4, 1, 3)


def test_a_folder_without_python_counts_nothing(tmp_path):
    assert count_directly(tmp_path) == (0, 0, 0)
