"""Imports well but has no application."""
something_else = 1
