"""Rows of the journal matrix, one module per noun; `ledger/matrix.py` joins them."""
