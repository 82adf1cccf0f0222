"""Acceptance from outside: the command line, HTTP and the twins' own books; nothing here imports the product."""

import pytest

pytest.register_assert_rewrite("tests.outside.books")
