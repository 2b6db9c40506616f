"""Metrics of what models answer: classes, confidence, rows unlike the training rows, drift."""
