"""The pages, one module each: ``draw(page)`` and the fields of its own."""
