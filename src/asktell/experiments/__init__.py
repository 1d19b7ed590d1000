"""Experiments: data sets, protocols, runs, curves, statistics, figures and reports."""
