"""One HTML page of an executed notebook, rendered by nbconvert's templates.

Time and memory grow linearly with the notebook's size: the page is written piece by piece, and the
finished page is never parsed.
"""
