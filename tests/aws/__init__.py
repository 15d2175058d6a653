"""Tests of the calls to AWS, and of who calls."""
