"""Tests of the native host."""
