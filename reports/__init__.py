"""The answers: MLflow to tidy frame to statistics to tables, figures and a page.

Each arrow is a pure function in a file of its own; :func:`reports.build.build_report`
runs them all. Nothing here knows how trials are run: the contract is
:mod:`ablations.record`. A new output is a function from numbers to text, called in
``build.py``; it takes foreign text through :mod:`reports.text`.
"""
