"""What is special about Qt; the bindings themselves, where they are installed, are the business of
``test_every_loop.py``."""

from __future__ import annotations

import sys
import types

import pytest

from smtp_connection.hosting import attach_qt


@pytest.fixture
def core(monkeypatch):
    """A binding without an application."""
    monkeypatch.delitem(sys.modules, "PyQt6.QtCore", raising=False)
    core = types.SimpleNamespace(
        QCoreApplication=types.SimpleNamespace(instance=lambda: None),
        QThread=types.SimpleNamespace(currentThread=lambda: "this thread"),
    )
    monkeypatch.setitem(sys.modules, "PySide6.QtCore", core)
    return core


def test_there_has_to_be_an_application(hosted, core):
    with pytest.raises(RuntimeError, match="make a QApplication first"):
        attach_qt(hosted)


def test_it_has_to_be_attached_on_the_thread_of_the_application(hosted, core):
    app = types.SimpleNamespace(thread=lambda: "another thread")
    core.QCoreApplication.instance = lambda: app
    with pytest.raises(RuntimeError, match="belongs to another thread"):
        attach_qt(hosted)
    assert hosted.hosting is None


def test_no_binding_is_loaded_by_us(hosted, monkeypatch):
    for name in ("PySide6.QtCore", "PyQt6.QtCore"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    with pytest.raises(RuntimeError, match="there is no application of PySide6 or PyQt6"):
        attach_qt(hosted)
