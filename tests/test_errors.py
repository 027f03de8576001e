from __future__ import annotations

import pytest

from serenbox import errors


@pytest.mark.parametrize(
    ("error", "builtin"),
    [
        (errors.ImageError, ValueError),
        (errors.ModelError, ValueError),
        (errors.RuntimeUnavailableError, ImportError),
    ],
)
def test_is_also_the_builtin_a_caller_expects(
    error: type[Exception], builtin: type[Exception]
) -> None:
    assert issubclass(error, errors.SerenBoxError)
    assert issubclass(error, builtin)
