"""Callers that mean harm, or that compare every answer."""
