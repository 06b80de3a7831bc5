"""A trained router in use: a page to try it. Nothing below imports from here."""
