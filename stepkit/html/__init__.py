"""One HTML page of an executed notebook, rendered by nbconvert's templates.

Everything here is linear in the notebook's size: no step parses the finished page, and it is
written piece by piece.
"""
