"""Counts skipped tests, so that a missing package cannot take hundreds of them away unseen."""

from __future__ import annotations

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--most-skips", type=int, metavar="N", help="fail the run if more than N tests are skipped"
    )


def skipped(config: pytest.Config) -> int:
    """Skipped tests so far; a file skipped as a whole counts once."""
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    return 0 if reporter is None else len(reporter.stats.get("skipped", ()))


def message(count: int, most: int | None) -> str:
    """What to say of this number of skips; nothing if they are few enough."""
    if most is None or count <= most:
        return ""
    return f"{count} tests were skipped, more than --most-skips={most}; see their reasons above"


@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    too_many = message(skipped(session.config), session.config.getoption("most_skips"))
    if too_many and exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


@pytest.hookimpl(trylast=True)
def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    too_many = message(skipped(config), config.getoption("most_skips"))
    if too_many:
        terminalreporter.write_line(too_many, red=True)
