"""A report on runs: `mmsa report`. `sections/` has a file for each section; a section is a function that gives blocks.

`material.py` is what sections read, `blocks.py` what they give; `page.py`, `markdown.py`, `latex.py` and
`spreadsheet.py` write blocks, and `drawing/` has the figures. A new section is a new file, named in
`sections/__init__.py`.
"""
