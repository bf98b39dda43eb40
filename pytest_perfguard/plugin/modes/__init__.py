"""The perf modes: one class for each option that measures."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_perfguard.core.errors import BaselineError, RevisionError
from pytest_perfguard.core.system_errors import explain_error
from pytest_perfguard.plugin.output import usage_error

if TYPE_CHECKING:
    import pytest

    from pytest_perfguard.plugin.modes.base import Mode


def open_mode(config: pytest.Config, name: str) -> Mode:
    """Return the mode of this name, after reading and checking the baseline or the revision that it needs.

    Raises
    ------
    pytest.UsageError
        if the baseline or the revision cannot be used: exit status 4, and the baseline file is unchanged.
    """
    from pytest_perfguard.plugin.modes.against import AgainstMode
    from pytest_perfguard.plugin.modes.base import Mode
    from pytest_perfguard.plugin.modes.baseline import BaselineMode
    from pytest_perfguard.plugin.modes.compare import CompareMode

    modes = {"measure": Mode, "baseline": BaselineMode, "compare": CompareMode, "against": AgainstMode}
    try:
        return modes[name](config)
    except (BaselineError, RevisionError) as error:
        raise usage_error(error) from None
    except OSError as error:
        raise usage_error(explain_error(error)) from None
