"""Everything public imports, and nothing else is promised."""

from __future__ import annotations

import pytest

import threedpsp


@pytest.mark.parametrize("name", threedpsp.__all__)
def test_public_name_imports(name: str):
    assert getattr(threedpsp, name).__name__ == name


def test_homes_and_all_agree():
    assert sorted(threedpsp._HOMES) == sorted(threedpsp.__all__) == sorted(dir(threedpsp))


def test_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'renderer_of_everything'"):
        threedpsp.renderer_of_everything  # noqa: B018


def test_version_is_the_project_files():
    assert threedpsp.__version__[0].isdigit()
