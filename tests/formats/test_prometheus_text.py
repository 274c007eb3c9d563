from stepkit.formats.prometheus_text import Gauge, labelled, lines, one


def test_samples_of_one_name_stand_together_below_one_description() -> None:
    both = [
        *labelled([one("seconds", "Length.", 1.5), one("cells", "Cells.", 4)], {"notebook": "a"}),
        *labelled([one("seconds", "Length.", 2), one("cells", "Cells.", None)], {"notebook": "b"}),
    ]

    assert "".join(lines(both)) == (
        "# HELP seconds Length.\n"
        "# TYPE seconds gauge\n"
        'seconds{notebook="a"} 1.5\n'
        'seconds{notebook="b"} 2\n'
        "# HELP cells Cells.\n"
        "# TYPE cells gauge\n"
        'cells{notebook="a"} 4\n'
    )


def test_a_metric_without_a_known_value_is_left_out() -> None:
    assert list(lines([one("a", "Unknown.", None), Gauge("b", "Without samples.", ())])) == []


def test_what_is_not_finite_is_spelled_as_prometheus_does() -> None:
    values = [float(text) for text in ("inf", "-inf", "nan")]

    assert [list(lines([one("a", "x", v)]))[-1] for v in values] == [
        "a +Inf\n",
        "a -Inf\n",
        "a NaN\n",
    ]
