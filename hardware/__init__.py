"""Boards, units and small drivers."""
