"""Northbeam Consulting, the firm to learn and to test with: its folder, the twins it runs against, and the demo."""
