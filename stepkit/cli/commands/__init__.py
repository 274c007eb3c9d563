"""Commands for people that are not a step: they have no Tekton Task and no results."""
